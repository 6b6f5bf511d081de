"""Moving digits: statistics of the motion (false alarms in `laws`), drawing, and the splits."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyrovp.data import MovingDigits, Split, load_digits
from pyrovp.data.moving_digits import draw_moving
from tests.data.laws import strays_from_uniform


def states(name: str, count: int, **options: Any) -> NDArray[np.float64]:
    """A state of the first frames of `count` clips, one row a digit."""
    data = MovingDigits("train", length=1, **options)
    return np.concatenate([data[i]["states"][name][0].numpy() for i in range(count)]).astype(float)


@pytest.mark.parametrize(("resolution", "factor"), [(64, 1.0), (32, 1.0), (64, 0.03), (64, 3.0)])
def test_speed_and_direction_are_uniform(resolution: int, factor: float) -> None:
    velocity = states("velocity", 1000, resolution=resolution, speed_factor=factor)
    speed = np.hypot(*velocity.T) * 64 / resolution / factor
    assert speed.min() >= 2 - 1e-5 and speed.max() <= 6 + 1e-5
    assert not strays_from_uniform(speed, 2, 6)
    assert not strays_from_uniform(np.arctan2(*velocity.T), -np.pi, np.pi)
    assert strays_from_uniform(speed**2, 4, 36)  # the test can tell


def test_starts_are_uniform_in_the_room_that_is_left() -> None:
    position = states("position", 1000)
    for axis in range(2):
        assert not strays_from_uniform(position[:, axis], 0, 36)


def test_all_labels_are_drawn_and_the_two_digits_apart() -> None:
    labels = states("digit", 400).reshape(-1, 2)
    assert set(labels.flatten()) == set(range(10))
    assert 0.7 < np.mean(labels[:, 0] != labels[:, 1]) < 1.0  # 0.9 in the mean, deviation 0.015


def test_speed_factor_changes_the_speed_only() -> None:
    normal = MovingDigits("train", 9)[4]["states"]
    fast = MovingDigits("train", 9, speed_factor=3.0)[4]["states"]
    assert torch.equal(normal["position"][0], fast["position"][0])
    assert torch.equal(normal["digit"], fast["digit"])
    torch.testing.assert_close(3 * normal["velocity"][0], fast["velocity"][0])


def test_motion_is_uniform_between_bounces() -> None:
    clip = MovingDigits("train", 200)[0]["states"]
    position, velocity, bounce = clip["position"], clip["velocity"], clip["bounce"]
    free = ~bounce[1:]
    moved = position[1:] - position[:-1]
    torch.testing.assert_close(moved[free], velocity[1:][free], atol=1e-4, rtol=0)
    flipped = velocity[1:] == -velocity[:-1]
    assert torch.equal(
        flipped, bounce[1:]
    )  # at these speeds never two walls of an axis in a frame
    assert bounce.any() and not bounce[0].any()


def bilinear(image: NDArray[np.float32], y: float, x: float) -> float:
    """The image at a real position, black outside, written out."""
    top, left, total = int(np.floor(y)), int(np.floor(x)), 0.0
    for j in (top, top + 1):
        for i in (left, left + 1):
            if 0 <= j < len(image) and 0 <= i < len(image):
                total += (1 - abs(y - j)) * (1 - abs(x - i)) * float(image[j, i])
    return total


@pytest.mark.parametrize("overlap", ["max", "sum"])
@pytest.mark.parametrize("subpixel", [True, False])
def test_frames_are_the_digits_at_their_positions(
    overlap: Literal["max", "sum"], subpixel: bool
) -> None:
    """Pixel by pixel against bilinear interpolation written out, digits found by their label."""
    data = MovingDigits(
        "test", length=3, resolution=16, digit_size=7, overlap=overlap, subpixel=subpixel, size=4
    )
    images = load_digits("test", 7)
    for index in range(4):
        item = data[index]
        chosen = np.random.default_rng((0, 2, index)).integers(300, size=2)
        assert images.labels[chosen].tolist() == item["states"]["digit"][0].tolist()
        for t in range(3):
            corner = item["states"]["position"][t].double().numpy()
            corner = corner if subpixel else np.rint(corner)
            for j in range(16):
                for i in range(16):
                    values = [
                        bilinear(images.images[d], j - y, i - x)
                        for d, (x, y) in zip(chosen, corner, strict=True)
                    ]
                    expected = max(values) if overlap == "max" else min(sum(values), 1.0)
                    # positions are stored in float32, about 1e-6 px
                    assert float(item["video"][t, 0, j, i]) == pytest.approx(expected, abs=2e-5)


def test_overlap_by_max_and_by_sum_differ_only_where_digits_meet() -> None:
    most, total = (MovingDigits("train", 60, overlap=kind)[1]["video"] for kind in ("max", "sum"))
    assert (total >= most).all() and (total > most).any() and total.max() <= 1


def test_drawing_reaches_every_edge_and_loses_no_ink() -> None:
    image = np.ones((1, 3, 3), np.float32)
    corners = np.array([[[0.0, 0.0]], [[5.0, 5.0]], [[0.0, 5.0]], [[2.25, 4.5]]])
    frames = draw_moving(image, corners, resolution=8)[:, 0]
    np.testing.assert_allclose(frames.sum((1, 2)), 9)
    assert frames[0, :3, :3].all() and frames[1, 5:, 5:].all() and frames[2, 5:, :3].all()
    np.testing.assert_allclose(frames[3, 5], [0, 0, 0.75, 1, 1, 0.25, 0, 0])
    np.testing.assert_allclose(frames[3, :, 3], [0, 0, 0, 0, 0.5, 1, 1, 0.5])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_shows_its_own_digits(split: Split) -> None:
    """A digit drawn at a whole pixel is found among the split's images, bit for bit."""
    own = {image.tobytes() for image in load_digits(split, 28).images}
    data = MovingDigits(split, length=1, digits=1, subpixel=False)
    for index in range(20):
        item = data[index]
        x, y = item["states"]["position"][0, 0].round().int().tolist()
        assert item["video"][0, 0, y : y + 28, x : x + 28].numpy().tobytes() in own


def test_three_channels_are_equal() -> None:
    gray, colour = (MovingDigits("train", 4, channels=c)[0]["video"] for c in (1, 3))
    assert colour.shape == (4, 3, 64, 64)
    assert torch.equal(colour, gray.expand(4, 3, 64, 64))


@pytest.mark.parametrize(("resolution", "size"), [(16, 7), (32, 14), (64, 28), (128, 56)])
def test_digits_scale_with_the_frame(resolution: int, size: int) -> None:
    data = MovingDigits("train", 1, resolution=resolution)
    assert data.digit_size == size
    assert f"bicubic to {size} px" in data.source


def test_the_documented_shapes() -> None:
    clip = MovingDigits("train", 5, digits=3)[0]["states"]
    assert {name: (tuple(state.shape), state.dtype) for name, state in clip.items()} == {
        "position": ((5, 3, 2), torch.float32),
        "velocity": ((5, 3, 2), torch.float32),
        "digit": ((5, 3), torch.int64),
        "bounce": ((5, 3, 2), torch.bool),
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": 2}, r"channels must be 1 \(gray\) or 3 \(colour\), got 2"),
        ({"digits": 0}, "digits .* at least 1, got 0"),
        ({"digit_size": 65}, "65 px has no room to move in a frame of 64 px"),
        ({"digit_size": 64}, "no room to move"),
        ({"digit_size": 0}, "digit_size .* at least 1, got 0"),
        ({"speed": 3.0}, r"speed must be a pair \(lowest, highest\), got 3.0"),
        ({"speed": (6.0, 2.0)}, "swap them"),
        ({"speed": (0.0, 2.0)}, "lowest speed must be a number above 0"),
        ({"speed_factor": -1.0}, "speed_factor must be a number above 0, got -1.0"),
        ({"speed_factor": float("nan")}, "speed_factor must be a number above 0, got nan"),
        ({"overlap": "summ"}, "overlap must be 'max' or 'sum', got 'summ'; did you mean 'sum'"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MovingDigits("train", 3, **wrong)
