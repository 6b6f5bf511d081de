"""What every metric demands of its input, checked once and said in one voice.

A frame is `[C, H, W]`, floating, with intensities in [0, 1] (an unclipped prediction may leave
that range a little); any number of dimensions may stand before it. Only shapes and types are
looked at: reading values would make a GPU wait.
"""

__all__ = ["check_frames", "check_pair", "lookup"]

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from torch import Tensor

Item = TypeVar("Item")


def check_frames(frames: Tensor, name: str) -> None:
    """Refuses what is not a stack of frames.

    Args:
        frames: [..., C, H, W]
        name: What the tensor is called in the message.

    Raises:
        ValueError: If there are fewer than three dimensions, no pixels, or no floating type.
    """
    if frames.ndim < 3 or 0 in frames.shape[-3:]:
        raise ValueError(
            f"{name} must be frames [..., C, H, W] with at least one pixel, "
            f"got the shape {list(frames.shape)}"
        )
    if not frames.is_floating_point():
        raise ValueError(
            f"{name} must hold intensities in [0, 1] as floating numbers, got {frames.dtype}; "
            "divide uint8 frames by 255 first"
        )


def check_pair(prediction: Tensor, truth: Tensor) -> None:
    """Refuses a prediction that cannot be compared with its truth frame by frame.

    Args:
        prediction: [..., C, H, W]
        truth: The same shape; no broadcasting, which would hide a forgotten dimension.

    Raises:
        ValueError: If either is no stack of frames, or the shapes differ.
    """
    check_frames(prediction, "prediction")
    check_frames(truth, "truth")
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction {list(prediction.shape)} and truth {list(truth.shape)} must have the "
            "same shape; use truth.expand_as(prediction) for several samples of one sequence"
        )


def lookup(table: Mapping[str, Item], name: str, kind: str) -> Item:
    """The entry of a table by its name.

    Args:
        table: Known names and what they stand for.
        name: The name asked for.
        kind: What the table holds, for the message.

    Raises:
        ValueError: If the name is unknown; names the nearest known one and all others.
    """
    if name in table:
        return table[name]
    near = get_close_matches(str(name), table, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {kind} {name!r}; {hint}Known: {', '.join(table)}")
