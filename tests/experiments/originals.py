"""Tiny originals of every data set made of files, in the forms that their authors chose."""

import io
import json
import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import google_crc32c
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["ORIGINALS", "film", "pictures", "video_folder"]

Features = dict[str, list[bytes] | NDArray[np.float64]]


def pictures(frames: int, seed: int, height: int = 16, width: int = 16) -> NDArray[np.uint8]:
    """A bright square that moves over a coloured ground, [T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    video = np.empty((frames, height, width, 3), np.uint8)
    video[:] = rng.integers(0, 120, 3)
    row, column = rng.integers(0, 8, 2)
    for t in range(frames):
        left = (column + t) % (width - 4)
        video[t, row : row + 4, left : left + 4] = 250
    return video


def film(path: Path, frames: int = 9, seed: int = 0) -> None:
    """A video file; its kind is that of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for image in pictures(frames, seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def video_folder(folder: Path, videos: int = 6) -> None:
    """Films here and in a folder, and an array."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(videos - 1):
        film(folder / ("", "more")[n % 2] / f"film{n}.{('mp4', 'avi')[n % 2]}", 9 + n, seed=n)
    np.save(folder / "array.npy", pictures(10, seed=99))


def kth(folder: Path) -> None:
    for person in (1, 2, 19, 21, 22):
        film(folder / "walking" / f"person{person:02d}_walking_d1_uncomp.avi", 9, person)


def mp4_folders(folder: Path) -> None:
    for n in range(3):
        film(folder / "train" / f"{n}.mp4", 9, n)
    film(folder / "test" / "0.mp4", 9, 7)


def minerl_navigate(folder: Path) -> None:
    mp4_folders(folder)
    binary = "attack back forward jump left place right sneak sprint".split()
    player = {name: [0] * 9 for name in binary} | {"camera_x": [0.5] * 9, "camera_y": [0.1] * 9}
    for path in folder.glob("*/*.mp4"):
        metadata = path.parent / "metadata.json"
        known = json.loads(metadata.read_text()) if metadata.exists() else {}
        metadata.write_text(json.dumps(known | {path.name: player}))


def gqn_tfrecords(folder: Path) -> None:
    for n, split in enumerate(("train", "train", "train", "test")):
        walks = [pictures(8, 10 * n + k, 21, 21) for k in range(2)]
        records: list[Features] = [
            {"frames": [_encoded(image, "JPEG") for image in walk], "cameras": np.zeros(8 * 5)}
            for walk in walks
        ]
        write_records(folder / split / f"{n}-of-4.tfrecord", records)


def bair(folder: Path) -> None:
    for split, first in (("train", 0), ("train", 2), ("test", 0)):
        records = []
        for n in (first, first + 1):
            features: Features = {}
            for t, image in enumerate(pictures(30, n, 64, 64)):
                features[f"{t}/image_aux1/encoded"] = [image.tobytes()]
                features[f"{t}/image_main/encoded"] = [image.tobytes()]
                features[f"{t}/action"] = np.full(4, t)
                features[f"{t}/endeffector_pos"] = np.full(3, n)
            records.append(features)
        write_records(folder / split / f"traj_{first}_to_{first + 1}.tfrecords", records)


def cityscapes(folder: Path) -> None:
    for n, split in enumerate(("train", "train", "test")):
        city = folder / "leftImg8bit_sequence" / split / f"city{split}"
        city.mkdir(parents=True, exist_ok=True)
        for t, image in enumerate(pictures(30, n, 16, 32)):
            name = f"{city.name}_{n:06d}_{t:06d}_leftImg8bit.png"
            (city / name).write_bytes(_encoded(image, "PNG"))


ORIGINALS: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "video_folder": ("video_folder", video_folder),
    "kth": ("kth", kth),
    "bair": ("bair", bair),
    "gqn_mazes, mp4": ("gqn_mazes", mp4_folders),
    "gqn_mazes, tfrecord": ("gqn_mazes", gqn_tfrecords),
    "minerl_navigate": ("minerl_navigate", minerl_navigate),
    "cityscapes": ("cityscapes", cityscapes),
}
"""Case -> the data set's name, and what writes its originals into a folder."""


def write_records(path: Path, records: list[Features]) -> None:
    """Records of tf.train.Example: length, its masked CRC-32C, data, its masked CRC-32C."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for features in records:
            data = _example(features)
            length = struct.pack("<Q", len(data))
            file.write(length + _masked(length) + data + _masked(data))


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _example(features: Features) -> bytes:
    """Example { Features { map<string, Feature> }}; lists of bytes are field 1, floats 2."""
    entries = b""
    for name, values in features.items():
        if isinstance(values, list):
            feature = _field(1, b"".join(_field(1, value) for value in values))
        else:
            feature = _field(2, _field(1, values.astype("<f4").tobytes()))
        entries += _field(1, _field(1, name.encode()) + _field(2, feature))
    return _field(1, entries)


def _field(number: int, content: bytes) -> bytes:
    """A field of protocol buffers that has a length (wire type 2)."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = b""
    while value > 127:
        digits += bytes([value & 127 | 128])
        value >>= 7
    return digits + bytes([value])


def _encoded(image: NDArray[np.uint8], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()
