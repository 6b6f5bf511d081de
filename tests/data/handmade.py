"""Files in MNIST's form, made by hand from the format's definition; every digit is another one."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["COUNTS", "idx", "images", "labels", "write_mnist"]

COUNTS = (60, 20, 30)
"""Digits for train, validation and test: 80 in the training file, 30 in the test file."""


def idx(array: NDArray[np.uint8]) -> bytes:
    """Two zero bytes, 08 for unsigned bytes, the number of sizes, big-endian sizes, the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + array.tobytes()


def images(part: str) -> NDArray[np.uint8]:
    """[80, 28, 28] or [30, 28, 28]: noise with some full ink inside, and a margin as MNIST has."""
    count = COUNTS[2] if part == "t10k" else COUNTS[0] + COUNTS[1]
    ink = np.zeros((count, 28, 28), np.uint8)
    ink[:, 4:24, 4:24] = np.random.default_rng(len(part)).integers(256, size=(count, 20, 20))
    ink[:, 12:16, 8:20] = 255
    return ink


def labels(part: str) -> NDArray[np.uint8]:
    """0, 1, ... 9, 0, ..."""
    return (np.arange(len(images(part))) % 10).astype(np.uint8)


def write_mnist(root: Path) -> Path:
    """Writes the four files to ROOT/MNIST/raw and returns that folder."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images(part)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels(part)))
    return folder
