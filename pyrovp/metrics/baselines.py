"""Predictions that need no model: what a score is worth is seen beside them.

A black video scores an SSIM of 0.58 to 0.74 on Moving MNIST and a wrong sequence 0.40 to 0.60,
so no table or curve stands without

    copy_last        the last context frame, for ever;
    black            zeros;
    training_mean    the mean of all training frames, for ever (the best constant in MSE);
    random_sequence  frames of a training clip drawn at random: what a model scores that knows
                     the kind of video and nothing of this one (TALD's line "random").

The first three are views that repeat one frame over time without copying it.
"""

__all__ = ["baselines", "black", "copy_last", "random_sequence", "training_mean"]

import torch
from torch import Tensor

from pyrovp.metrics.checks import check_frames


def copy_last(context: Tensor, horizon: int) -> Tensor:
    """The last context frame at every predicted frame.

    Args:
        context: The given frames.
        horizon: Number of predicted frames.

    Shapes:
        context: [B, Tc, C, H, W]
        returns: [B, horizon, C, H, W], a view of the context

    Raises:
        ValueError: If the context is no batch of videos or the horizon is below 1.
    """
    _check(context, "context", horizon)
    return context[:, -1:].expand(-1, horizon, -1, -1, -1)


def black(context: Tensor, horizon: int) -> Tensor:
    """Zeros at every predicted frame, [B, horizon, C, H, W]; a view, as of `copy_last`."""
    _check(context, "context", horizon)
    return context.new_zeros(()).expand(context.shape[0], horizon, *context.shape[2:])


def training_mean(context: Tensor, horizon: int, training: Tensor) -> Tensor:
    """The mean training frame at every predicted frame.

    Args:
        context: The given frames; they fix the batch, device and type of the result.
        horizon: Number of predicted frames.
        training: A sample of training clips.

    Shapes:
        context: [B, Tc, C, H, W]
        training: [N, T, C, H, W]
        returns: [B, horizon, C, H, W], a view of one frame

    Raises:
        ValueError: If the training frames are not of the context's shape.
    """
    _check(context, "context", horizon)
    _check_training(training, context)
    mean = training.mean((0, 1)).to(context)
    return mean.expand(context.shape[0], horizon, -1, -1, -1)


def random_sequence(
    context: Tensor, horizon: int, training: Tensor, seed: int = 0, *, frames: range | None = None
) -> Tensor:
    """A training clip drawn at random for every sequence, from a random start.

    Where the horizon is longer than a clip, further clips drawn at random are joined to it.

    Args:
        context: The given frames; they fix the batch, device and type of the result.
        horizon: Number of predicted frames.
        training: A sample of training clips.
        seed: Fixes the draw, whatever the state of the ambient generator and the device.
        frames: Which of the predicted frames are made, from 0 on; None: all. The others are the
            same whichever are made.

    Shapes:
        context: [B, Tc, C, H, W]
        training: [N, T, C, H, W]
        returns: [B, horizon, C, H, W], or as many frames as are made

    Raises:
        ValueError: If the training frames are not of the context's shape, or a frame lies beyond
            the horizon.
    """
    _check(context, "context", horizon)
    _check_training(training, context)
    made = range(horizon) if frames is None else frames
    if any(t not in range(horizon) for t in made):
        raise ValueError(f"a horizon of {horizon} has the frames 0 to {horizon - 1}, got {made}")
    batch, (clips, length) = context.shape[0], training.shape[:2]
    joined = -(-horizon // length)
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randint(clips, (batch, joined), generator=generator)
    start = torch.randint(joined * length - horizon + 1, (batch, 1), generator=generator)
    position = start + torch.tensor(made)  # [B, frames], counted through the joined clips
    clip = clip.gather(1, position // length)
    index = clip.to(training.device), (position % length).to(training.device)
    return training[index].to(context)


def baselines(context: Tensor, horizon: int, training: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """All baselines by name, in the order in which tables print them.

    Args:
        context: The given frames, [B, Tc, C, H, W].
        horizon: Number of predicted frames.
        training: A sample of training clips, [N, T, C, H, W]; never test data.
        seed: Fixes the draw of `random_sequence`; give every batch of a test set its own.

    Returns:
        Predictions [B, horizon, C, H, W] under the names of this module's functions.

    Raises:
        ValueError: If shapes do not fit or the horizon is below 1.

    Example:
        >>> list(baselines(torch.rand(2, 3, 1, 8, 8), 5, torch.rand(4, 9, 1, 8, 8)))
        ['copy_last', 'black', 'training_mean', 'random_sequence']
    """
    return {
        "copy_last": copy_last(context, horizon),
        "black": black(context, horizon),
        "training_mean": training_mean(context, horizon, training),
        "random_sequence": random_sequence(context, horizon, training, seed),
    }


def _check(video: Tensor, name: str, horizon: int) -> None:
    check_frames(video, name)
    if video.ndim != 5 or 0 in video.shape[:2]:
        raise ValueError(
            f"{name} must be a batch of videos [B, T, C, H, W] with at least one frame, "
            f"got the shape {list(video.shape)}"
        )
    if horizon < 1:
        raise ValueError(f"a prediction needs a horizon of at least 1 frame, got {horizon}")


def _check_training(training: Tensor, context: Tensor) -> None:
    _check(training, "training", horizon=1)
    if training.shape[2:] != context.shape[2:]:
        raise ValueError(
            f"training frames are {list(training.shape[2:])} and context frames "
            f"{list(context.shape[2:])} [C, H, W]; take both from the same data set"
        )
