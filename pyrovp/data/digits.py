"""Handwritten digits that travel with the package.

1797 images of 8x8 px with 17 shades of ink (`assets/README.md` tells their source and licence),
divided by index,

    train 0...1296,    validation 1297...1496,    test 1497...1796,

and enlarged with the bicubic (Catmull-Rom) kernel, which overshoots a little beside a sharp edge
and is clipped back to [0, 1].
"""

import functools
import hashlib
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from pyrovp.data.checks import one_of, whole
from pyrovp.data.keyed import SPLITS, Split

__all__ = ["DIGIT_RANGES", "Digits", "digits_sha256", "load_digits"]

DIGIT_RANGES = {"train": (0, 1297), "validation": (1297, 1497), "test": (1497, 1797)}
"""First index and the index after the last of each split."""

_FILE = resources.files("pyrovp.data") / "assets" / "digits.npz"


class Digits(NamedTuple):
    """Images and what they show; both arrays are read-only.

    Shapes:
        images: [N, size, size] float32 in [0, 1], 1 = ink
        labels: [N] int64 in 0...9
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@functools.lru_cache(maxsize=16)
def load_digits(split: Split, size: int = 28) -> Digits:
    """Loads the digits of a split, enlarged to `size` px.

    Args:
        split: "train" (1297 digits), "validation" (200) or "test" (300).
        size: Height and width in px.

    Raises:
        ValueError: If `split` is unknown or `size` is less than 1.

    Example:
        >>> load_digits("test").images.shape
        (300, 28, 28)
    """
    first, end = DIGIT_RANGES[one_of("split", split, SPLITS)]
    size = whole("size (px)", size)
    with _FILE.open("rb") as file, np.load(file) as stored:
        ink, labels = stored["images"][first:end], stored["labels"][first:end].astype(np.int64)
    small = torch.from_numpy(ink.astype(np.float32) / 16)
    large = F.interpolate(small[:, None], size=(size, size), mode="bicubic", antialias=True)
    images = large[:, 0].clamp(0, 1).numpy()
    images.flags.writeable = False  # every data set of this split and size shares them
    labels.flags.writeable = False
    return Digits(images, labels)


@functools.cache
def digits_sha256() -> str:
    """The sha256 of the digit file, part of the fingerprint of what is made from it."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()
