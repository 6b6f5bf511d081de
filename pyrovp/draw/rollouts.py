"""A rollout beside its truth, as tiles: the common ground of strips and films.

The tiles stand in three rows, truth, model and error. In the context the model's row is its
reconstruction, after it its prediction. The error is |model - truth| on one scale for all frames:
black is 0 and the brightest colour the largest error shown.
"""

__all__ = ["ROWS", "Film", "check_rollout", "tile_rollout"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyrovp.draw.frames import (
    CONTEXT,
    PREDICTED,
    absolute_error,
    enlargement,
    error_rgb,
    tiles,
    to_rgb,
)

ROWS = ("truth", "model", "error")


@dataclass(frozen=True)
class Film:
    """What is shown of some sequences: tiles of the three rows at some frames.

    tiles: [3, S, N, h, w, 3] for the rows truth, model, error; times: the N frames shown.
    """

    tiles: NDArray[np.uint8]
    times: list[int]
    context: int
    frames: int
    scale: float

    def colour(self, t: int) -> tuple[int, int, int]:
        """The border colour of frame t."""
        return CONTEXT if t < self.context else PREDICTED


def check_rollout(
    context: Tensor, truth: Tensor, reconstruction: Tensor, prediction: Tensor
) -> None:
    """Refuses videos that do not fit together.

    Raises:
        ValueError: Naming all shapes, if one is empty or differs from its partner.
    """
    given = {
        "context": context,
        "truth": truth,
        "reconstruction": reconstruction,
        "prediction": prediction,
    }
    shapes = {name: list(video.shape) for name, video in given.items()}
    fits = (
        context.ndim == truth.ndim == 5
        and min(context.numel(), truth.numel()) > 0
        and context.shape == reconstruction.shape
        and truth.shape == prediction.shape
        and context.shape[2:] == truth.shape[2:]
        and context.shape[0] == truth.shape[0]
    )
    if not fits:
        raise ValueError(
            "context and reconstruction must be [B, Tc, C, H, W], truth and prediction "
            f"[B, horizon, C, H, W], none empty; got {shapes}"
        )


def tile_rollout(
    context: Tensor,
    truth: Tensor,
    reconstruction: Tensor,
    prediction: Tensor,
    sequences: int,
    times: list[int],
) -> Film:
    """Selects sequences and frames, then turns them into tiles.

    Args:
        context: The given frames.
        truth: The true future.
        reconstruction: The model's reconstruction of the context.
        prediction: The model's prediction of the future.
        sequences: Greatest number of sequences, from the first of the batch on.
        times: Increasing numbers of the frames to show, 0 being the first context frame.

    Shapes:
        context, reconstruction: [B, Tc, C, H, W] with C 1 or 3
        truth, prediction: [B, horizon, C, H, W]

    Raises:
        ValueError: If the frames are neither gray nor RGB.
    """
    given = [t for t in times if t < context.shape[1]]
    future = [t - context.shape[1] for t in times if t >= context.shape[1]]
    true = context[:sequences, given], truth[:sequences, future]
    model = reconstruction[:sequences, given], prediction[:sequences, future]
    largest = [
        absolute_error(m, x).max().item() for m, x in zip(model, true, strict=True) if x.numel()
    ]
    scale = max(*largest, 0.01)  # an exact prediction stays black
    factor = enlargement(*truth.shape[-2:])
    parts = [
        np.stack([
            tiles(to_rgb(x), factor, colour),
            tiles(to_rgb(m), factor, colour),
            tiles(error_rgb(m, x, scale), factor, colour),
        ])
        for x, m, colour in zip(true, model, (CONTEXT, PREDICTED), strict=True)
    ]  # fmt: skip
    frames = context.shape[1] + truth.shape[1]
    return Film(np.concatenate(parts, axis=2), times, context.shape[1], frames, scale)
