"""The frames of one video, whatever form it is in, as a model takes them.

    .npy .npz         arrays, of several videos one (`arrays.py`)
    a folder          its PNG and JPEG images, in the order of their names: 2.png before 10.png
    anything else     a video file: .mp4 .avi .mov .webm .gif and more (`video.py`)

Each frame is made small as it comes, as those of `pyrovp.data.VideoFolder` are, so a long video
takes no more memory than a short one.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.readers.arrays import read_array
from pyrovp.data.readers.images import decode_image, members, read_member
from pyrovp.data.readers.resize import Crop, fit
from pyrovp.data.readers.video import read_video
from pyrovp.data.stored import unit_frames

__all__ = ["read_clip"]

_ARRAYS = {".npy", ".npz"}
_IMAGES = {".png", ".jpg", ".jpeg"}


def read_clip(
    path: str | Path,
    resolution: int,
    channels: int,
    *,
    crop: Crop = "centre",
    number: int | None = None,
) -> Iterator[Tensor]:
    """The frames of a video, one by one.

    Args:
        path: A video file, a .npy or .npz file, or a folder of images.
        resolution: Height and width R in px that the frames are brought to.
        channels: C that they are brought to: 1 (gray) or 3 (colour).
        crop: "centre" takes the largest square in a frame's middle, "whole" squeezes the frame.
        number: Which video, from 0, of a file that holds several.

    Returns:
        Frames [C, R, R], float32 in [0, 1].

    Raises:
        MissingFiles: If there is no such file or folder, or no image in it.
        DamagedFile: If it cannot be read; some frames may have come before.
        DataError: If it holds several videos and none of them is chosen, or a package that reads
            it is not installed.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise MissingFiles(f"there is no file or folder {path}; give the path of a video")
    if path.suffix.lower() in _ARRAYS and path.is_file():
        frames: Iterator[NDArray[np.uint8]] = iter(_chosen(read_array(path), path, number))
    elif number is not None:
        raise DataError(f"{path} is one video; leave out number={number}")
    elif path.is_dir():
        frames = _pictures(path, _in_order(path))
    else:
        frames = read_video(path)
    return (_unit(frame, resolution, channels, crop) for frame in frames)


def _unit(frame: NDArray[np.uint8], resolution: int, channels: int, crop: Crop) -> Tensor:
    # In colour until it is small: a prepared video's gray is that of its small frames too.
    small = fit(frame, resolution, frame.shape[-1], crop)
    return torch.from_numpy(unit_frames(small[None], channels)[0])


def _chosen(videos: list[NDArray[np.uint8]], path: Path, number: int | None) -> NDArray[np.uint8]:
    if number is None and len(videos) == 1:
        return videos[0]
    if number is None or not 0 <= number < len(videos):
        asked = "" if number is None else f", but number={number} was asked for"
        raise DataError(
            f"{path} holds {len(videos)} videos{asked}; choose one, number=0 to "
            f"number={len(videos) - 1}"
        )
    return videos[number]


def _in_order(folder: Path) -> list[str]:
    """The names of a folder's images, numbers in them counted."""
    names = [name for name in members(folder) if Path(name).suffix.lower() in _IMAGES]
    places = sorted({str(Path(name).parent) for name in names})
    if not names:
        raise MissingFiles(
            f"{folder} holds no PNG or JPEG images; give a folder of a video's frames, or a video "
            "file"
        )
    if len(places) > 1:
        raise DataError(
            f"{folder} holds images in {len(places)} folders ({', '.join(places[:3])}, ...): give "
            "the one with the frames of the video"
        )
    return sorted(names, key=_counted)


def _counted(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _pictures(folder: Path, names: list[str]) -> Iterator[NDArray[np.uint8]]:
    first: tuple[int, ...] | None = None
    for name in names:
        image = decode_image(read_member(folder, name), str(folder / name))
        first = first or image.shape
        if image.shape != first:
            raise DamagedFile(
                folder / name,
                f"{image.shape[1]}x{image.shape[0]} px after {first[1]}x{first[0]} px",
                "frames of one size",
                "bring them to one size, or move this image elsewhere",
            )
        yield image
