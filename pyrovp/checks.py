"""Checks of what users hand in, made once where it comes in."""

import difflib
from collections.abc import Iterable

from torch import Tensor

__all__ = ["check_video", "nearest"]


def check_video(video: Tensor, what: str = "video") -> None:
    """Refuses what is not a video [B, T, C, H, W] of floats. Reads no pixel.

    Raises:
        ValueError: For what is no tensor, another number of dimensions, an empty one, or integer
            pixels.
    """
    if not isinstance(video, Tensor):
        raise ValueError(
            f"the {what} is a {type(video).__name__}, but a tensor [B, T, C, H, W] of floats in "
            "[0, 1] is needed: torch.as_tensor(...)"
        )
    if video.dim() != 5:
        raise ValueError(
            f"the {what} has shape {list(video.shape)}, but [B, T, C, H, W] is needed "
            "(sequences, frames, channels, height, width); one clip becomes a batch by clip[None]"
        )
    if 0 in video.shape:
        raise ValueError(f"the {what} of shape {list(video.shape)} is empty")
    if not video.is_floating_point():
        raise ValueError(
            f"the {what} has {video.dtype} pixels, but floats in [0, 1] are needed: "
            "video.float() / 255 for bytes"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that lists the known names and guesses which one was meant.

    Example:
        >>> nearest("cwave", ["cwvae", "dlh"])
        'did you mean cwvae? known: cwvae, dlh'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"did you mean {close[0]}? " if close else "") + "known: " + ", ".join(names)
