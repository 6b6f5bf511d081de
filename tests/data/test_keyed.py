"""What every generated data set must obey."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pyrovp.data import (
    Batch,
    Item,
    KeyedVideos,
    MovingBall,
    MovingDigits,
    MovingMNIST,
    StochasticMovingMNIST,
    batches,
)

Make = Callable[..., KeyedVideos]
SPEEDS: dict[Make, Any] = {
    MovingDigits: (2.0, 5.0),
    MovingMNIST: (2.0, 5.0),
    MovingBall: 3.0,
    StochasticMovingMNIST: 3,
}
every = pytest.mark.parametrize("make", list(SPEEDS))
pytestmark = pytest.mark.usefixtures("mnist")


def same(a: Item | Batch, b: Item | Batch) -> bool:
    """Whether two items or batches are equal to the last bit, states included."""
    return torch.equal(a["video"], b["video"]) and all(
        torch.equal(a["states"][name], b["states"][name]) for name in a["states"]
    )


@every
@pytest.mark.parametrize("resolution", [16, 48, 64])
def test_an_item_is_a_video_with_states_of_the_same_length(make: Make, resolution: int) -> None:
    data = make("train", length=7, resolution=resolution)
    item = data[3]
    assert item["video"].shape == (7, *data.frame_shape)
    assert data.frame_shape[1:] == (resolution, resolution)
    assert item["video"].dtype == torch.float32
    assert item["video"].is_contiguous()
    assert 0 <= item["video"].min() and 0.5 < item["video"].max() <= 1
    assert {"position", "velocity"} <= set(item["states"])
    assert all(len(state) == 7 for state in item["states"].values())


@every
def test_the_key_decides_the_item(make: Make) -> None:
    data = make("train", length=4, seed=5)
    first = data[2]
    data[0]
    np.random.seed(1)  # the ambient generators have no say
    torch.manual_seed(1)
    assert same(data[2], first)
    assert same(make("train", length=4, seed=5)[2], first)
    assert same(data[np.int64(2)], first)  # type: ignore[index]


@every
def test_index_split_and_seed_are_parts_of_the_key(make: Make) -> None:
    data = make("train", length=4)
    others = [
        data[1],
        data[2**31 - 1],
        make("train", length=4, seed=1)[0],
        make("validation", length=4)[0],
        make("test", length=4)[0],
    ]
    starts = {
        tuple(item["states"]["position"][0].flatten().tolist()) for item in [data[0], *others]
    }
    assert len(starts) == 6


@every
def test_a_shorter_clip_is_the_beginning_of_a_longer_one(make: Make) -> None:
    short, long = make("test", length=5)[0], make("test", length=50)[0]
    assert torch.equal(short["video"], long["video"][:5])


@every
def test_sizes(make: Make) -> None:
    assert len(make("train", length=2)) == 2**31
    assert len(make("validation", length=2)) == len(make("test", length=2)) == 1024
    assert len(make("train", length=2, size=3)) == 3


@every
@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_out_of_range(make: Make, index: int) -> None:
    with pytest.raises(IndexError, match=f"items 0 to 2, got {index}"):
        make("test", length=2, size=3)[index]


@every
def test_a_small_data_set_can_be_iterated_over(make: Make) -> None:
    data = make("test", length=2, size=3)
    assert len([data[i] for i in range(len(data))]) == len(list(iter(data))) == 3


@every
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "val"}, "did you mean 'validation'"),
        ({"split": "tset"}, "did you mean 'test'"),
        ({"split": "xyz"}, "must be 'train', 'validation' or 'test', got 'xyz'$"),
        ({"length": 0}, "length .* at least 1, got 0"),
        ({"length": 2.5}, "length .* whole number"),
        ({"resolution": -64}, "resolution .* at least 4, got -64"),
        ({"size": 0}, "size .* at least 1, got 0"),
        ({"seed": -1}, "seed .* at least 0, got -1"),
    ],
)
def test_wrong_arguments(make: Make, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**{"split": "train", "length": 3, **wrong})


@every
def test_the_fingerprint_names_the_data_set(make: Make) -> None:
    base: dict[str, Any] = {"split": "train", "length": 3}
    variants: list[dict[str, Any]] = [
        {},
        {"split": "test"},
        {"length": 4},
        {"resolution": 32},
        {"size": 9},
        {"seed": 1},
        {"speed": SPEEDS[make]},
    ]
    prints = [make(**{**base, **variant}).fingerprint() for variant in variants]
    assert len(set(prints)) == len(variants)
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in prints)
    assert make(**base).fingerprint() == prints[0]


def test_every_rule_is_in_the_fingerprint() -> None:
    digits: list[dict[str, Any]] = [
        {},
        {"channels": 3},
        {"digits": 1},
        {"digit_size": 20},
        {"speed_factor": 2.0},
        {"overlap": "sum"},
        {"subpixel": False},
    ]
    balls: list[dict[str, Any]] = [{}, {"change_probability": 0.1}, {"colour": "uniform"}]
    stochastic: list[dict[str, Any]] = [*digits[:4], {"speed": 1}, {"deterministic": True}]
    prints = [MovingDigits("train", 3, **extra).fingerprint() for extra in digits]
    prints += [MovingMNIST("train", 3, **extra).fingerprint() for extra in digits]
    prints += [MovingBall("train", 3, **extra).fingerprint() for extra in balls]
    prints += [StochasticMovingMNIST("train", 3, **extra).fingerprint() for extra in stochastic]
    assert len(set(prints)) == len(prints)


@every
def test_the_source_is_said(make: Make) -> None:
    source = make("test", length=2).source
    assert any(name in source for name in ("generated", "UCI handwritten digits 8x8", "MNIST"))


# Python 3.12 warns of a fork in a process with threads; torch's loader forks on Linux.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@every
def test_workers_and_resuming_change_nothing(make: Make) -> None:
    """Three steps of four items, all at once, by two workers, and from the second step on."""
    data = make("train", length=2, resolution=16)
    read = {
        (start, workers): [
            batch
            for batch, _ in zip(batches(data, 4, start, workers), range(3 - start), strict=False)
        ]
        for start, workers in [(0, 0), (0, 2), (1, 0)]
    }
    for (start, _), made in read.items():
        assert len(made) == 3 - start
        for batch, expected in zip(made, read[0, 0][start:], strict=True):
            assert same(batch, expected)


@every
def test_a_worker_is_sent_no_arrays(make: Make) -> None:
    data = make("test", length=3)
    sent = pickle.dumps(data)
    assert len(sent) < 2000
    assert same(pickle.loads(sent)[1], data[1])
    assert pickle.loads(sent).fingerprint() == data.fingerprint()
