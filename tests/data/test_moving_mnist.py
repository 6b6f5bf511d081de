"""Moving MNIST: it is the moving digits with other handwriting; the laws of both.

False alarms of the statistical tests: `tests.data.laws`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from pyrovp.data import (
    MNIST,
    KeyedVideos,
    MovingDigits,
    MovingMNIST,
    Split,
    StochasticMovingMNIST,
    load_digits,
)
from pyrovp.data.errors import MissingFiles
from pyrovp.runs.build import make
from tests.data.laws import strays_from_even, strays_from_uniform

CONF = Path(__file__).parents[2] / "experiments" / "conf" / "data"

Made = Callable[..., KeyedVideos]
both = pytest.mark.parametrize("made", [MovingDigits, MovingMNIST])
pytestmark = pytest.mark.usefixtures("mnist")


def first_states(made: Made, name: str, **options: Any) -> NDArray[np.float64]:
    """A state of the first frames of 1000 clips, one row a digit."""
    data = made("train", length=1, resolution=16, **options)
    return np.concatenate([data[i]["states"][name][0].numpy() for i in range(1000)]).astype(float)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resolution": 32, "channels": 3, "digits": 3, "digit_size": 9, "speed": (1.0, 9.0)},
        {"speed_factor": 0.3, "overlap": "sum", "subpixel": False, "size": 5, "seed": 8},
    ],
)
def test_it_is_moving_digits_in_other_handwriting(mnist: MNIST, options: dict[str, Any]) -> None:
    ours = MovingMNIST("test", 4, **options)
    plain = MovingDigits("test", 4, handwriting=mnist, **options)
    for index in range(3):
        a, b = ours[index], plain[index]
        assert torch.equal(a["video"], b["video"])
        assert all(torch.equal(a["states"][name], b["states"][name]) for name in b["states"])
    assert ours.rules() == plain.rules() and len(ours) == len(plain)
    assert ours.source == plain.source == mnist.source("test", plain.digit_size)


def test_its_digits_have_28_pixels_in_64() -> None:
    data = MovingMNIST("train", 3)
    assert data.frame_shape == (1, 64, 64)
    assert data.clips.digit_size == 28
    assert data[0]["states"]["position"].shape == (3, 2, 2)


def test_it_is_not_the_embedded_digits(mnist: MNIST) -> None:
    one, other = MovingMNIST("train", 3), MovingDigits("train", 3)
    assert one.fingerprint() != other.fingerprint()
    assert one.split_hash() != other.split_hash() != MovingDigits("test", 3).split_hash()
    assert MovingDigits("train", 3, handwriting=mnist).fingerprint() != other.fingerprint()


def test_the_embedded_digits_are_as_ever() -> None:
    """Names under which results were written before there was other handwriting."""
    assert MovingDigits("train", 6).fingerprint() == "4c9b4e90a06964ee"
    small = MovingDigits("test", 6, resolution=32, digits=1)
    assert (small.fingerprint(), small.split_hash()) == ("c5094427eb7951cb", "4db0d32405ae3d6f")


@both
def test_speeds_and_directions_are_uniform(made: Made) -> None:
    velocity = first_states(made, "velocity")
    speed = np.hypot(*velocity.T) * 64 / 16
    assert not strays_from_uniform(speed, 2, 6)
    assert not strays_from_uniform(np.arctan2(*velocity.T), -np.pi, np.pi)
    assert strays_from_uniform(speed**2, 4, 36)  # the test can tell


@both
def test_starts_are_uniform(made: Made) -> None:
    position = first_states(made, "position")
    for axis in range(2):
        assert not strays_from_uniform(position[:, axis], 0, 9)
        assert strays_from_uniform(position[:, axis], 0, 10)


def test_every_digit_is_as_frequent() -> None:
    assert not strays_from_even(first_states(MovingMNIST, "digit"), range(10))


@both
@pytest.mark.parametrize("factor", [0.03, 1.0, 3.0])
def test_walls_are_mirrors(made: Made, factor: float) -> None:
    """Frame by frame: a digit that would be beyond a wall is as far on this side of it.

    States are stored in float32; a step of the largest speed crosses no two walls.
    """
    clip = made("train", 400, speed_factor=factor)[2]["states"]
    position, velocity = clip["position"].double(), clip["velocity"].double()
    ahead = position[:-1] + velocity[:-1]
    beyond = (ahead < 0) | (ahead > 36)
    mirrored = torch.where(ahead < 0, -ahead, torch.where(ahead > 36, 72 - ahead, ahead))
    torch.testing.assert_close(position[1:], mirrored, atol=2e-5, rtol=0)
    torch.testing.assert_close(velocity[1:], torch.where(beyond, -velocity[:-1], velocity[:-1]))
    assert torch.equal(clip["bounce"][1:], beyond) and beyond.any()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_shows_its_own_digits_with_their_labels(mnist: MNIST, split: Split) -> None:
    """All of them in the end: 1200 draws miss one of 60 or fewer with probability 1e-7."""
    own = {i.tobytes(): int(label) for i, label in zip(*mnist.load(split, 28), strict=True)}
    data, seen = MovingMNIST(split, 1, digits=1, subpixel=False, size=1200), set()
    for index in range(1200):
        item = data[index]
        x, y = item["states"]["position"][0, 0].round().int().tolist()
        picture = item["video"][0, 0, y : y + 28, x : x + 28].numpy().tobytes()
        assert own[picture] == item["states"]["digit"][0, 0]
        seen.add(picture)
    assert len(seen) == len(own)


@pytest.mark.parametrize("name", ["moving_mnist", "stochastic_moving_mnist"])
@pytest.mark.parametrize("size", ["small", "paper"])
def test_the_configurations(name: str, size: Literal["small", "paper"]) -> None:
    node: Any = OmegaConf.load(CONF / f"{name}.yaml")
    if size == "paper":
        wide = {"data": {"resolution": 64}}
        node = OmegaConf.merge(node, OmegaConf.load(CONF / "paper" / f"{name}.yaml"), wide)
    plain: Any = OmegaConf.to_container(node, resolve=True)
    data = make("data", plain["data"], split="validation", size=4)
    assert plain["channels"] == data.channels
    assert (CONF / f"{name}.yaml").read_text().startswith("# @package _global_\n")
    assert data[0]["video"].shape == (24, 1, *((32, 32) if size == "small" else (64, 64)))
    kind = MovingMNIST if name == "moving_mnist" else StochasticMovingMNIST
    if size == "paper":  # what the class does by itself
        assert data.fingerprint() == kind("validation", 24, size=4).fingerprint()


@pytest.mark.parametrize("made", [MovingMNIST, StochasticMovingMNIST])
def test_missing_files_are_said_at_once(made: Made, tmp_path: Path) -> None:
    with pytest.raises(MissingFiles, match=r"MNIST.raw does not hold .* --download"):
        made("train", 3, root=tmp_path)
    assert load_digits("test").images.any()  # and the embedded ones need none


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"digits": 0}, "digits .* at least 1, got 0"),
        ({"digit_size": 64}, "64 px has no room to move in a frame of 64 px"),
        ({"speed": 3.0}, r"speed must be a pair \(lowest, highest\), got 3.0"),
        ({"speed_factor": -1.0}, "speed_factor must be a number above 0, got -1.0"),
        ({"overlap": "summ"}, "did you mean 'sum'"),
        ({"channels": 2}, "channels must be 1"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MovingMNIST("train", 3, **wrong)
