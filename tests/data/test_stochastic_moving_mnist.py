"""Stochastic Moving MNIST: the rule written out once more, and the laws of its redraws.

False alarms of the statistical tests: `tests.data.laws`.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyrovp.data import MNIST, Split, StochasticMovingMNIST
from pyrovp.data.bouncing import Path
from pyrovp.data.stochastic_moving_mnist import redraw, turn_back, walk
from tests.data.laws import strays_from_even

pytestmark = pytest.mark.usefixtures("mnist")

ANY, INWARD = range(-4, 5), range(1, 5)


def literal_clip(
    rng: np.random.Generator, images: NDArray[np.float32], frames: int, deterministic: bool
) -> tuple[NDArray[np.float32], list[list[tuple[int, int]]]]:
    """64 px video and corners of two digits, for one's own eyes: nothing but loops.

    The order of the draws is that of the clip: digits, starts and velocities first, then frame by
    frame and digit by digit what walls ask for.
    """
    chosen = rng.integers(len(images), size=2)
    (ax, ay), (bx, by) = rng.integers(32, size=(2, 2))
    (adx, ady), (bdx, bdy) = rng.integers(-4, 5, size=(2, 2))
    states = [[ax, ay, adx, ady], [bx, by, bdx, bdy]]
    video = np.zeros((frames, 64, 64), np.float32)
    corners: list[list[tuple[int, int]]] = []
    for t in range(frames):
        corners.append([])
        for state, digit in zip(states, images[chosen], strict=True):
            x, y, dx, dy = state
            if y < 0:
                y = 0
                if deterministic:
                    dy = -dy
                else:
                    dy = rng.integers(1, 5)
                    dx = rng.integers(-4, 5)
            elif y > 31:
                y = 31
                if deterministic:
                    dy = -dy
                else:
                    dy = -rng.integers(1, 5)
                    dx = rng.integers(-4, 5)
            if x < 0:
                x = 0
                if deterministic:
                    dx = -dx
                else:
                    dx = rng.integers(1, 5)
                    dy = rng.integers(-4, 5)
            elif x > 31:
                x = 31
                if deterministic:
                    dx = -dx
                else:
                    dx = -rng.integers(1, 5)
                    dy = rng.integers(-4, 5)
            video[t, y : y + 32, x : x + 32] += digit
            corners[-1].append((int(x), int(y)))
            state[:] = x + dx, y + dy, dx, dy
    return np.minimum(video, 1), corners


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(("split", "number"), [("train", 0), ("test", 2)])
def test_the_rule_pixel_for_pixel(
    mnist: MNIST, split: Split, number: int, deterministic: bool
) -> None:
    data = StochasticMovingMNIST(split, 300, deterministic=deterministic, seed=3)
    for index in range(2):
        rng = np.random.default_rng((3, number, index))
        video, corners = literal_clip(rng, mnist.load(split, 32).images, 300, deterministic)
        item = data[index]
        np.testing.assert_array_equal(item["video"][:, 0], video)
        assert item["states"]["position"].tolist() == [[list(c) for c in row] for row in corners]
        assert item["states"]["bounce"].sum() > 20


def test_starts_and_first_velocities() -> None:
    data = StochasticMovingMNIST("train", 1)
    states = [data[i]["states"] for i in range(1000)]
    position, velocity = (
        np.concatenate([state[name][0].numpy() for state in states])
        for name in ("position", "velocity")
    )
    for axis in range(2):
        assert not strays_from_even(position[:, axis], range(32))
        assert not strays_from_even(velocity[:, axis], ANY)
    assert strays_from_even(position, range(33))  # the test can tell
    assert strays_from_even(velocity, INWARD)
    assert not any(state["bounce"].any() for state in states)


def pushed(x: int, y: int, count: int = 4000) -> Path:
    """One frame of digits that arrive at (x, y), all with velocity (3, -2)."""
    turn = partial(redraw, np.random.default_rng(11), 4)
    return walk(np.array([[x, y]] * count), np.array([[3, -2]] * count), 32, 1, turn)


@pytest.mark.parametrize(
    ("x", "y", "clamped", "axis", "inward"),
    [
        (-1, 9, (0, 9), 0, 1),
        (-4, 9, (0, 9), 0, 1),
        (32, 9, (31, 9), 0, -1),
        (35, 9, (31, 9), 0, -1),
        (9, -2, (9, 0), 1, 1),
        (9, 33, (9, 31), 1, -1),
    ],
)
def test_a_wall_redraws_both_velocities(
    x: int, y: int, clamped: tuple[int, int], axis: int, inward: int
) -> None:
    path = pushed(x, y)
    assert (path.position[0] == clamped).all()
    assert path.bounce[0, :, axis].all() and not path.bounce[0, :, 1 - axis].any()
    away, along = path.velocity[0, :, axis], path.velocity[0, :, 1 - axis]
    assert not strays_from_even(inward * away, INWARD)
    assert not strays_from_even(along, ANY)
    for value in ANY:  # and each says nothing about the other
        assert not strays_from_even(inward * away[along == value], INWARD)


@pytest.mark.parametrize(("x", "inward"), [(-3, 1), (34, -1)])
@pytest.mark.parametrize("y", [-1, 32])
def test_in_a_corner_the_horizontal_wall_comes_last(x: int, y: int, inward: int) -> None:
    path = pushed(x, y)
    assert (path.position[0] == (0 if x < 0 else 31, 0 if y < 0 else 31)).all()
    assert path.bounce.all()
    assert not strays_from_even(inward * path.velocity[0, :, 0], INWARD)
    assert not strays_from_even(path.velocity[0, :, 1], ANY)


@pytest.mark.parametrize("corner", [(0, 0), (31, 31), (0, 31), (15, 16)])
def test_inside_nothing_changes(corner: tuple[int, int]) -> None:
    path = pushed(*corner, count=3)
    assert (path.velocity == (3, -2)).all() and not path.bounce.any()


@pytest.mark.parametrize("deterministic", [False, True])
def test_positions_add_up(deterministic: bool) -> None:
    """Each frame's velocity leads to the next frame, where walls clamp and say so."""
    states = StochasticMovingMNIST("train", 500, deterministic=deterministic)[1]["states"]
    position, velocity, bounce = states["position"], states["velocity"], states["bounce"]
    ahead = position[:-1] + velocity[:-1]
    assert torch.equal(position[1:], ahead.clamp(0, 31))
    assert torch.equal(bounce[1:], (ahead < 0) | (ahead > 31))
    assert bounce.any() and not bounce[0].any()
    kept = ~bounce[1:].any(-1)
    assert torch.equal(velocity[1:][kept], velocity[:-1][kept])


def test_the_deterministic_rule_turns_the_sign_only() -> None:
    data = StochasticMovingMNIST("train", 200, deterministic=True)
    for index in range(5):
        states = data[index]["states"]
        velocity, bounce = states["velocity"], states["bounce"]
        turned = torch.where(bounce[1:], -velocity[:-1], velocity[:-1])
        assert torch.equal(velocity[1:], turned)
    velocity_of_one = [-3, 2]
    turn_back(velocity_of_one, axis=0, inward=1)
    assert velocity_of_one == [3, 2]


def test_both_rules_start_alike() -> None:
    wild, tame = (
        StochasticMovingMNIST("train", 100, deterministic=rule)[0] for rule in (False, True)
    )
    first = int(wild["states"]["bounce"].any(-1).any(-1).int().argmax())
    assert 0 < first < 100
    assert torch.equal(wild["video"][:first], tame["video"][:first])
    assert not torch.equal(wild["video"], tame["video"])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_shows_its_own_digits_with_their_labels(mnist: MNIST, split: Split) -> None:
    """All of them in the end: 1200 draws miss one of 60 or fewer with probability 1e-7."""
    own = {i.tobytes(): int(label) for i, label in zip(*mnist.load(split, 32), strict=True)}
    data, seen = StochasticMovingMNIST(split, 1, digits=1, size=1200), set()
    for index in range(1200):
        item = data[index]
        x, y = item["states"]["position"][0, 0].int().tolist()
        picture = item["video"][0, 0, y : y + 32, x : x + 32].numpy().tobytes()
        assert own[picture] == item["states"]["digit"][0, 0]
        seen.add(picture)
    assert len(seen) == len(own)


def test_the_sum_of_digits_is_clipped() -> None:
    """Four digits in one small frame meet in most pixels."""
    video = StochasticMovingMNIST("train", 20, resolution=16, digits=4)[0]["video"]
    assert video.max() == 1 and (video == 1).float().mean() > 0.05


@pytest.mark.parametrize(
    ("resolution", "size", "speed"), [(16, 8, 1), (32, 16, 2), (48, 24, 3), (64, 32, 4)]
)
def test_size_and_speed_scale_with_the_frame(resolution: int, size: int, speed: int) -> None:
    data = StochasticMovingMNIST("train", 300, resolution=resolution)
    assert (data.digit_size, data.speed) == (size, speed)
    assert f"bilinear to {size} px" in data.source
    velocity = data[0]["states"]["velocity"]
    assert velocity.abs().max() == speed


def test_three_channels_are_equal() -> None:
    gray, colour = (StochasticMovingMNIST("train", 4, channels=c)[0]["video"] for c in (1, 3))
    assert torch.equal(colour, gray.expand(4, 3, 64, 64))


def test_the_documented_shapes() -> None:
    item = StochasticMovingMNIST("train", 5, digits=3)[0]
    assert item["video"].shape == (5, 1, 64, 64)
    assert {name: (tuple(s.shape), s.dtype) for name, s in item["states"].items()} == {
        "position": ((5, 3, 2), torch.float32),
        "velocity": ((5, 3, 2), torch.float32),
        "digit": ((5, 3), torch.int64),
        "bounce": ((5, 3, 2), torch.bool),
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"digits": 0}, "digits .* at least 1, got 0"),
        ({"digit_size": 64}, "64 px has no room to move in a frame of 64 px"),
        ({"digit_size": 0}, "digit_size .* at least 1, got 0"),
        ({"speed": 0}, "speed .* at least 1, got 0"),
        ({"speed": 2.5}, "speed .* whole number of at least 1, got 2.5"),
        ({"channels": 2}, "channels must be 1"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StochasticMovingMNIST("train", 3, **wrong)
