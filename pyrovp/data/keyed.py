"""Videos that are a function of their key.

Item i of a data set is made with its index and the random generator of its key alone,

    item(i) = make(i, rng),    rng = default_rng((seed, split, i)),    split = 0, 1, 2,

so it does not matter which worker makes it, in which order, or what was made before: a run that is
resumed at some step needs only the step number. Training sets are so long (2^31 items) that every
step can use items that no step has used before.
"""

import abc
import hashlib
import json
from collections.abc import Mapping
from typing import Literal, TypedDict

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pyrovp.data.checks import one_of, whole

__all__ = ["SPLITS", "GeneratedVideos", "Item", "KeyedVideos", "Split"]

Split = Literal["train", "validation", "test"]

# A split's place in this tuple is part of the key of its items.
SPLITS = ("train", "validation", "test")

_SIZES = {"train": 2**31, "validation": 1024, "test": 1024}


class Item(TypedDict):
    """A clip and the true states behind it.

    Shapes:
        video: [T, C, H, W] float32 in [0, 1]
        states: name -> [T, ...]
    """

    video: Tensor
    states: dict[str, Tensor]


class KeyedVideos(Dataset[Item], abc.ABC):
    """A data set of videos, keyed by (seed, split, index).

    Law: what `item` returns depends on the index and the generator it is given and on nothing
    else, and `rules` names everything that decides it. Then equal fingerprints mean equal items.

    A training set is for `pyrovp.data.batches`, which reads it in order. A shuffling `DataLoader`
    would first write down a permutation of its 2^31 indices.

    Args:
        split: "train", "validation" or "test".
        length: Frames T of a clip.
        resolution: Height and width of a frame in px.
        channels: 1 or 3.
        size: Number of items.
        seed: First part of every item's key.

    Raises:
        ValueError: If an argument is out of range or `split` is unknown.
    """

    source: str
    """Where the pictures come from, in words."""

    def __init__(
        self,
        split: Split,
        length: int,
        resolution: int,
        channels: int,
        size: int,
        seed: int,
    ) -> None:
        self.split = one_of("split", split, SPLITS)
        self.length = whole("length (frames of a clip)", length)
        self.resolution = whole("resolution (px)", resolution, minimum=4)
        self.channels = whole("channels", channels)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (gray) or 3 (colour), got {channels}")
        self.size = whole("size (items)", size)
        self.seed = whole("seed", seed, minimum=0)

    @abc.abstractmethod
    def item(self, index: int, rng: np.random.Generator) -> Item:
        """Item `index`, with the random generator of its key."""

    @abc.abstractmethod
    def rules(self) -> Mapping[str, object]:
        """What decides the items beside split, sizes and seed, as values that JSON can hold."""

    @abc.abstractmethod
    def split_hash(self) -> str:
        """Sixteen hexadecimal digits that name the material of this split.

        Equal where and only where two data sets take their clips from the same material, however
        they cut or draw it: a figure counts only beside figures with the same hash.
        """

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        """Item `index`, from 0.

        Raises:
            IndexError: If there is no such item; negative indices do not count from the end.
        """
        if not 0 <= index < self.size:
            raise IndexError(
                f"{type(self).__name__} ({self.split}) has items 0 to {self.size - 1}, got {index}"
            )
        key = (self.seed, SPLITS.index(self.split), int(index))
        return self.item(int(index), np.random.default_rng(key))

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a frame."""
        return self.channels, self.resolution, self.resolution

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name this data set: rules, split, sizes and seed."""
        facts = {
            "kind": type(self).__name__,
            "split": self.split,
            "length": self.length,
            "frame": self.frame_shape,
            "size": self.size,
            "seed": self.seed,
            "rules": dict(self.rules()),
        }
        return _digest(facts)


class GeneratedVideos(KeyedVideos):
    """Videos that rules make, as many as wanted.

    Args:
        split, length, resolution, channels, seed: See `KeyedVideos`.
        size: Number of items; by default 2^31 for training and 1024 otherwise.
    """

    def __init__(
        self,
        split: Split,
        length: int,
        resolution: int,
        channels: int,
        size: int | None,
        seed: int,
    ) -> None:
        default = _SIZES[one_of("split", split, SPLITS)]
        super().__init__(
            split, length, resolution, channels, default if size is None else size, seed
        )

    @abc.abstractmethod
    def make(self, rng: np.random.Generator) -> Item:
        """Makes one item from the generator of its key."""

    def item(self, index: int, rng: np.random.Generator) -> Item:
        return self.make(rng)

    def split_hash(self) -> str:
        """See `KeyedVideos.split_hash`: the material is the rules, and the split in every key."""
        return _digest({"kind": type(self).__name__, "split": self.split, "source": self.source})


def _digest(facts: Mapping[str, object]) -> str:
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
