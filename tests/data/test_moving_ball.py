"""The Moving Ball against its rules, written out once more and pixel by pixel."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from pyrovp.data import COLOURS, MovingBall
from pyrovp.data.moving_ball import draw_discs, roll_ball

RGB = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "yellow": (255, 255, 0),
    "blue": (0, 0, 255),
}


def literal_ball(
    x: float, y: float, angle: float, colour: int, frames: int
) -> tuple[np.ndarray, list[int], list[bool]]:
    """64 px video, colours and contacts, with nothing but loops and integers."""
    names, video = list(RGB), np.zeros((frames, 64, 64, 3), dtype=np.uint8)
    vx, vy = 6.0 * math.cos(angle), 6.0 * math.sin(angle)
    colours, contacts = [], []
    for t in range(frames):
        for row in range(64):
            dy = row - int(y)
            if abs(dy) > 6:
                continue
            for column in range(64):
                if (column - int(x)) ** 2 + dy**2 <= 36:
                    video[t, row, column] = RGB[names[colour % 6]]
        colours.append(colour % 6)
        contact = False
        if (x - 6 < 0 and vx < 0) or (x + 6 > 64 and vx > 0):
            vx = -vx
            contact = True
        elif (y - 6 < 0 and vy < 0) or (y + 6 > 64 and vy > 0):
            vy = -vy
            contact = True
        contacts.append(contact)
        if contact:
            colour += 1
        x += vx
        y += vy
    return video, colours, contacts


@pytest.mark.parametrize(("split", "number", "index"), [("train", 0, 0), ("test", 2, 11)])
def test_the_rules_pixel_for_pixel_over_1000_frames(split: Any, number: int, index: int) -> None:
    rng = np.random.default_rng((7, number, index))  # in the documented order
    x, y = rng.uniform(6, 58), rng.uniform(6, 58)
    angle, colour = rng.uniform(0, 2 * math.pi), int(rng.integers(6))
    video, colours, contacts = literal_ball(x, y, angle, colour, 1000)
    item = MovingBall(split, length=1000, seed=7)[index]
    ours = (item["video"] * 255).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    np.testing.assert_array_equal(ours, video)
    assert item["states"]["colour"].tolist() == colours
    assert item["states"]["change"].tolist() == [False, *contacts[:-1]]
    assert 100 < sum(contacts) < 200


def test_the_disc_has_113_pixels() -> None:
    frames = draw_discs(np.array([[31.9, 20.1]]), COLOURS[:1], 64, 6.0)
    assert frames.sum() == 113
    rows, columns = np.nonzero(frames[0, 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 26, 25, 37)


def test_truncation_is_towards_zero() -> None:
    """A ball that misses a wall test in a corner may stand at -0.6, which is drawn at 0."""
    frames = draw_discs(np.array([[-0.6, 10.0], [0.0, 10.0]]), COLOURS[:2], 64, 6.0)
    np.testing.assert_array_equal(frames[0].sum(0), frames[1].sum(0))


def test_one_wall_per_frame() -> None:
    """In the corner x is flipped first, and y on the next frame, from further outside."""
    path = roll_ball((5.0, 5.0), (-3.0, -4.0), 4, 64, 6.0)
    assert path.position.tolist() == [[5, 5], [8, 1], [11, 5], [14, 9]]
    assert path.velocity.tolist() == [[-3, -4], [3, -4], [3, 4], [3, 4]]
    assert path.contact.tolist() == [True, True, False, False]


def test_a_ball_that_moves_inward_touches_nothing() -> None:
    path = roll_ball((1.0, 63.0), (1.0, -1.0), 5, 64, 6.0)
    assert not path.contact.any()


def test_colour_changes_on_the_frame_after_the_contact() -> None:
    data = MovingBall("train", length=300)
    for index in range(5):
        state = data[index]["states"]
        flipped = (state["velocity"][1:] != state["velocity"][:-1]).any(-1)
        # The velocity that follows a contact brings the ball to the very frame of the new colour.
        assert torch.equal(state["change"][1:], flipped)
        advance = (state["colour"][1:] - state["colour"][:-1]) % 6
        assert torch.equal(advance, flipped.long())


@pytest.mark.parametrize("colour", ["cycle", "uniform"])
@pytest.mark.parametrize("change", [0.1, 0.3])
def test_lambda_is_the_frequency_of_random_changes(colour: Any, change: float) -> None:
    """On frames without a contact; five deviations, so a false alarm in under a million."""
    calm = MovingBall("train", length=2000)
    busy = MovingBall("train", length=2000, change_probability=change, colour=colour)
    changes = trials = 0
    for index in range(5):
        plain, ours = calm[index]["states"], busy[index]["states"]
        assert torch.equal(plain["position"], ours["position"])
        assert ours["change"][plain["change"]].all()  # a contact stays a change
        free = ~plain["change"][1:]
        changes += int(ours["change"][1:][free].sum())
        trials += int(free.sum())
    deviation = math.sqrt(trials * change * (1 - change))
    assert abs(changes - change * trials) < 5 * deviation


@pytest.mark.parametrize(("change", "levels"), [(0.0, 1.14), (0.1, 1.23), (0.3, 1.40)])
def test_mean_levels_of_a_perfect_detector(change: float, levels: float) -> None:
    """One level always changes, a second with the colour and on the first frame.

    Expected are known values for clips of 100 frames, given to two digits. The mean over 300 clips
    deviates by 0.003 at most; 0.018 is five of these and the rounding.
    """
    data = MovingBall("train", length=100, change_probability=change, resolution=16)
    changes = [int(data[i]["states"]["change"].sum()) for i in range(300)]
    assert 1 + np.mean([1 + count for count in changes]) / 100 == pytest.approx(levels, abs=0.018)


@pytest.mark.parametrize("colour", ["cycle", "uniform"])
def test_change_is_exactly_where_the_colour_differs(colour: Any) -> None:
    data = MovingBall("train", length=500, change_probability=0.3, colour=colour)
    jumps: set[int] = set()
    for index in range(4):
        item = data[index]
        state = item["states"]
        step = (state["colour"][1:] - state["colour"][:-1]) % 6
        assert torch.equal(state["change"][1:], step != 0)
        assert not state["change"][0]
        jumps |= set(step.tolist())
        brightest = item["video"].amax((2, 3))  # [T, 3]
        assert torch.equal(brightest, torch.from_numpy(COLOURS)[state["colour"]])
    assert jumps == ({0, 1} if colour == "cycle" else {0, 1, 2, 3, 4, 5})


def test_first_colours_starts_and_directions_vary() -> None:
    data = MovingBall("train", length=1)
    first = [data[i]["states"] for i in range(200)]
    assert {int(state["colour"]) for state in first} == set(range(6))
    position = torch.cat([state["position"] for state in first])
    assert position.min() >= 6 and position.max() <= 58
    assert (position.amin(0) < 12).all() and (position.amax(0) > 52).all()
    velocity = torch.cat([state["velocity"] for state in first])
    torch.testing.assert_close(velocity.norm(dim=1), torch.full((200,), 6.0))
    assert {tuple(sign) for sign in velocity.sign().int().tolist()} == {
        (1, 1),
        (1, -1),
        (-1, 1),
        (-1, -1),
    }


@pytest.mark.parametrize(("resolution", "speed"), [(32, 6.0), (64, 2.0), (128, 6.0)])
def test_radius_and_speed_scale_with_the_frame(resolution: int, speed: float) -> None:
    item = MovingBall("train", length=200, resolution=resolution, speed=speed)[0]
    scale = resolution / 64
    norm = item["states"]["velocity"].norm(dim=1)
    torch.testing.assert_close(norm, torch.full((200,), speed * scale))
    inked = (item["video"].amax(1) > 0).sum((1, 2)).max()
    assert inked == {32: 29, 64: 113, 128: 441}[resolution]  # lattice points of the disc


@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_clips(count: int) -> None:
    item = MovingBall("train", length=count, change_probability=1.0)[0]
    assert item["states"]["change"].tolist() == [False, True][:count]


def test_the_documented_shapes() -> None:
    item = MovingBall("train", 5)[0]
    assert item["video"].shape == (5, 3, 64, 64)
    assert {name: (tuple(s.shape), s.dtype) for name, s in item["states"].items()} == {
        "position": ((5, 2), torch.float32),
        "velocity": ((5, 2), torch.float32),
        "colour": ((5,), torch.int64),
        "change": ((5,), torch.bool),
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"change_probability": -0.1},
            "change_probability must be .* 0 to 1, got -0.1",
        ),
        ({"change_probability": 1.1}, "number from 0 to 1, got 1.1"),
        ({"change_probability": float("nan")}, "number from 0 to 1, got nan"),
        ({"colour": "unifrom"}, "did you mean 'uniform'"),
        ({"speed": 0.0}, "speed .* above 0 and at most 52, got 0.0"),
        ({"speed": 60}, "speed .* at most 52, got 60"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MovingBall("train", 3, **wrong)
