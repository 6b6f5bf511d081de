"""Checks of what users hand in, made once where it comes in."""

import difflib
from collections.abc import Iterable, Sequence

from torch import Tensor

__all__ = ["check_count", "check_frame_shape", "check_layers", "check_video", "nearest"]


def check_count(what: str, value: object) -> None:
    """Refuses what is not a whole number of at least 1.

    Raises:
        ValueError: For that.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{what} must be a whole number of at least 1, got {value!r}")


def check_layers(what: str, widths: object) -> None:
    """Refuses what is no list of widths of layers.

    Raises:
        ValueError: For that.
    """
    if not isinstance(widths, Iterable):
        raise ValueError(f"{what} are a list of widths such as [200], got {widths!r}")
    for width in widths:
        check_count(f"each width of {what}", width)


def check_frame_shape(given: Sequence[int], own: Sequence[int]) -> None:
    """Refuses a video whose frames are not of a model's shape.

    Args:
        given: Channels, height and width of the video's frames.
        own: Of the model's.

    Raises:
        ValueError: If the two differ.
    """
    if tuple(given) != tuple(own):
        raise ValueError(
            f"the video's frames are {list(given)}, but this model's are {list(own)} (channels, "
            "height, width); videos are [B, T, C, H, W]: permute its dimensions, resize its "
            "frames, or build the model for them"
        )


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
