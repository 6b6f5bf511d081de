"""Handwritten digits to be moved about, and which of them a split may show.

    load(split, size)  ->  images and labels;  no digit is in two splits

`EmbeddedDigits` travel with the package (`pyrovp.data.digits`). `MNIST` are four files in
ROOT/MNIST/raw, where torchvision keeps them too, divided by index:

    train 0...54999,   validation 55000...59999   of the training file's 60000 digits
    test  0...9999                                of the test file's 10000

MNIST's digits have 28 px, and at that size they are its bytes / 255. Other sizes come from
Pillow's bilinear filter (antialiased where it shrinks), which rounds to whole bytes; it counts in
integers, so the pixels are the same on every machine.

Reference:
    Gradient-based learning applied to document recognition (LeCun, Bottou, Bengio, Haffner, 1998).
    https://doi.org/10.1109/5.726791
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyrovp.data.checks import one_of, whole
from pyrovp.data.digits import DIGIT_RANGES, Digits, digits_sha256, load_digits
from pyrovp.data.keyed import SPLITS, Split
from pyrovp.data.mnist_files import MNISTFiles, fetch
from pyrovp.data.places import data_root

__all__ = ["EMBEDDED", "MNIST", "EmbeddedDigits", "Handwriting", "check_mnist"]


class Handwriting(Protocol):
    """A source of digits.

    Law: no picture is in two splits, and equal values of `sha256` mean equal digits in each. A
    data set keeps the source rather than its digits, so that a worker process is sent a name and
    no arrays: `load` gives the same read-only arrays each time, at once from the second time on.
    """

    def load(self, split: Split, size: int) -> Digits:
        """The digits of a split, in boxes of `size` px."""

    def source(self, split: Split, size: int) -> str:
        """What `load` gives, in words that go with every result."""

    def sha256(self) -> str:
        """64 hexadecimal digits that name the digits of all splits."""


@final
@dataclass(frozen=True)
class EmbeddedDigits:
    """The 1797 digits that travel with the package."""

    def load(self, split: Split, size: int = 28) -> Digits:
        """The digits of a split, in boxes of `size` px."""
        return load_digits(split, size)

    def source(self, split: Split, size: int = 28) -> str:
        """What `load` gives, in words."""
        first, end = DIGIT_RANGES[split]
        return (
            "scikit-learn/UCI handwritten digits 8x8 (embedded), "
            f"images {first} to {end - 1}, bicubic to {size} px"
        )

    def sha256(self) -> str:
        """64 hexadecimal digits that name the digits of all splits."""
        return digits_sha256()


EMBEDDED = EmbeddedDigits()
"""The digits that are drawn where none are asked for."""


@final
@dataclass(frozen=True)
class MNIST:
    """MNIST's 70000 digits, from files that are there: nothing here opens a connection.

    Names, kinds, shapes, lengths and sums of the files are checked when they are first read, once
    a process. The training digits take 172 MB at 28 px.

    Args:
        root: ROOT, the folder of all data, as `pyrovp.data.places.data_root` takes it.
        counts: Digits for train, validation and test. The first two follow each other in the
            training file. With other counts than these the files are not MNIST, and of their
            contents only the form can be checked.

    Raises:
        ValueError: If the counts are not three positive numbers.
        MissingFiles: By `load`, `source` and `sha256`, if one of the files is not there.
        DamagedFile: By the same, if one is not as it should be.
    """

    root: str | Path | None = None
    counts: tuple[int, int, int] = (55_000, 5_000, 10_000)

    def __post_init__(self) -> None:
        if len(self.counts) != len(SPLITS):
            raise ValueError(f"counts are of train, validation and test, got {self.counts!r}")
        for split, count in zip(SPLITS, self.counts, strict=True):
            whole(f"the count of {split} digits", count)
        # Found once and for all: a worker may stand in another folder.
        object.__setattr__(self, "root", data_root(self.root).absolute())

    @property
    def files(self) -> MNISTFiles:
        """The files in ROOT/MNIST/raw."""
        train, validation, test = self.counts
        return MNISTFiles(Path(str(self.root), "MNIST", "raw"), train + validation, test)

    def indices(self, split: Split) -> tuple[int, int]:
        """A split's first index in its file, and the index after its last."""
        train, validation, test = self.counts
        ranges = {
            "train": (0, train),
            "validation": (train, train + validation),
            "test": (0, test),
        }
        return ranges[one_of("split", split, SPLITS)]

    def load(self, split: Split, size: int = 28) -> Digits:
        """The digits of a split, in boxes of `size` px."""
        return _load(self, split, whole("size (px)", size))

    def source(self, split: Split, size: int = 28) -> str:
        """What `load` gives, in words."""
        first, end = self.indices(split)
        made = self.sha256()
        name = "MNIST" if self.files.genuine else f"digits in MNIST's form ({made[:8]})"
        file = "test" if split == "test" else "training"
        drawn = "" if size == 28 else f", bilinear to {size} px"
        return f"{name}, {file} images {first} to {end - 1}{drawn}"

    def sha256(self) -> str:
        """64 hexadecimal digits that name the digits of all splits."""
        return _sha256(self)


def check_mnist(
    root: str | Path | None = None, download: bool = False, say: Callable[[str], None] = print
) -> None:
    """Makes sure that MNIST is there and whole.

    Args:
        root: ROOT, as for `MNIST`.
        download: Whether to fetch what is missing, through torchvision; files that are there stay
            as they are.
        say: Told what happens, in lines.

    Raises:
        MissingFiles: If files are missing and are not to be fetched.
        DamagedFile: If one is not as it should be.
        DataError: If they cannot be fetched.
    """
    mnist = MNIST(root)
    files = mnist.files
    if download and files.missing():
        say(f"fetching MNIST to {files.folder}")
        fetch(files)
    files.sha256()
    train, validation, test = mnist.counts
    say(
        f"MNIST is whole in {files.folder}: {train} digits to train with, {validation} to "
        f"validate with and {test} to test with"
    )


@functools.lru_cache(maxsize=8)
def _load(mnist: MNIST, split: Split, size: int) -> Digits:
    first, end = mnist.indices(split)
    mnist.sha256()  # refuses files that are not whole, or not MNIST
    images, labels = mnist.files.read("test" if split == "test" else "train")
    digits = Digits(_drawn(images[first:end], size), labels[first:end].astype(np.int64))
    digits.images.flags.writeable = False  # every data set of this split and size shares them
    digits.labels.flags.writeable = False
    return digits


@functools.lru_cache(maxsize=8)
def _sha256(mnist: MNIST) -> str:
    return hashlib.sha256(f"{mnist.files.sha256()} {mnist.counts}".encode()).hexdigest()


def _drawn(images: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """[N, 28, 28] in bytes -> [N, size, size] in [0, 1]."""
    if size != images.shape[-1]:
        bilinear = Image.Resampling.BILINEAR
        resized = (Image.fromarray(image).resize((size, size), bilinear) for image in images)
        images = np.stack([np.asarray(image) for image in resized])
    drawn = images.astype(np.float32)
    drawn /= 255
    return drawn
