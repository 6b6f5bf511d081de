"""Videos in NumPy files: .npy with one array, .npz with several.

The number of dimensions and the last of them decide what an array is:

    [T, H, W]           a gray video
    [T, H, W, C]        a video, if the last dimension is 1 or 3
    [N, T, H, W]        gray videos otherwise
    [N, T, H, W, C]     videos

Time comes before height: of an array [T, N, H, W] nothing shows that it is not [N, T, H, W].
Channels come last: where the dimension before height is 1 or 3, the array is refused as one with
channels first, rather than taken for videos of so few frames. Where the last of four is 2 or 4, it
is refused as one with transparency, rather than taken for gray videos so few pixels wide.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.damage import whole

__all__ = ["read_array"]

_EXPECTED = "[T, H, W], [T, H, W, C], [N, T, H, W] or [N, T, H, W, C] with C of 1 or 3"


def read_array(path: Path) -> list[NDArray[np.uint8]]:
    """The videos in a file, those of a .npz file in the order of its arrays.

    Arrays of uint8 in a .npy file stay on the disk until their frames are used.

    Args:
        path: A .npy or .npz file of uint8, or of floating point numbers from 0 to 1, which
            become round(255 x).

    Returns:
        Videos [T, H, W, C].

    Raises:
        DamagedFile: If the file is cut short or damaged, or holds something else, pickled objects
            among it.
    """
    with whole(path, "a whole .npy or .npz file of numbers", "get it or save it again", KeyError):
        with path.open("rb") as file:
            several = file.read(2) == b"PK"  # a .npz file is a zip file
            file.seek(0)
            if several:  # NumPy does not close a damaged one that it opened
                return _several(file, path)
        return _videos(np.load(path, mmap_mode="r", allow_pickle=False), str(path))


def _several(file: BinaryIO, path: Path) -> list[NDArray[np.uint8]]:
    with np.load(file, allow_pickle=False) as arrays:
        return [
            video
            for name in arrays.files
            for video in _videos(arrays[name], f"{path}, array {name!r}")
        ]


def _videos(array: NDArray[np.generic], where: str) -> list[NDArray[np.uint8]]:
    shape = np.shape(array)  # what is no array in a .npz file comes as bytes: ()
    stacked = len(shape) == 5 or len(shape) == 4 and shape[-1] not in (1, 3)
    coloured = len(shape) == 5 or len(shape) == 4 and not stacked
    image = len(shape) == 3 and shape[-1] in (1, 3)  # rather than a video 1 or 3 px wide
    odd = coloured and shape[-1] not in (1, 3)
    if len(shape) in (4, 5) and shape[-1] in (2, 4):
        raise DamagedFile(
            where, f"an array {list(shape)}", _EXPECTED, "leave transparency out: array[..., :-1]"
        )
    if not 3 <= len(shape) <= 5 or 0 in shape or image or odd:
        raise DamagedFile(where, f"an array {list(shape)}", _EXPECTED, "save it in that order")
    if stacked and not coloured and shape[1] in (1, 3):
        raise DamagedFile(
            where, f"an array {list(shape)}", _EXPECTED, "if channels come first, move them last"
        )
    videos = array if stacked else array[None]
    videos = videos if coloured else videos[..., None]
    return [_bytes(video, where) for video in videos]


def _bytes(video: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    if video.dtype == np.uint8:
        return video.astype(np.uint8, copy=False)
    if not np.issubdtype(video.dtype, np.floating):
        raise DamagedFile(
            where, f"{video.dtype}", "uint8, or floating point from 0 to 1", "convert it"
        )
    low, high = float(video.min()), float(video.max())
    if not 0 <= low <= high <= 1:  # false for what is not a number, too
        raise DamagedFile(
            where, f"values from {low:g} to {high:g}", "values from 0 to 1", "scale it to that"
        )
    return np.rint(video.astype(np.float32) * 255).astype(np.uint8)
