"""What a question is about: which levels of the model, which frame of the clips.

Levels count from 1, the fastest. Where none is named the question goes to each in turn.
"""

from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["asked_levels", "check_context", "gated_levels", "modelled_frame"]

Model = LatentDynamics[StateSpace]


def asked_levels(model: Model, level: int | None) -> list[int]:
    """The level that was named, or all of them.

    Raises:
        ValueError: If what was given is no model, or it has no such level.
    """
    check_model(model)
    known = list(range(1, len(model.hierarchy.levels) + 1))
    if level is None:
        return known
    if level not in known:
        raise ValueError(
            f"level {level!r} was asked for, but this model has the levels 1 to {known[-1]}, "
            "1 being the fastest"
        )
    return [level]


def gated_levels(model: Model) -> list[int]:
    """The levels that have a gate."""
    check_model(model)
    return [n for n, level in enumerate(model.hierarchy.levels, 1) if level.gate is not None]


def modelled_frame(model: Model, length: int, context: int, frame: int | None) -> int:
    """The frame that was named, or the last one of the context that is modelled.

    Args:
        model: The model.
        length: Of the clips.
        context: Frames given where something is predicted.
        frame: From 0; None: the context's last, or the first modelled one where that is given.

    Raises:
        ValueError: If the frame is not among those that are modelled.
    """
    frames = model.scored(length)
    if frame is None:
        return min(max(context - 1, frames.start), frames.stop - 1)
    if frame not in frames:
        raise ValueError(
            f"frame {frame!r} was asked for, but of clips of {length} frames this model models "
            f"{frames.start} to {frames.stop - 1}"
        )
    return frame


def check_context(context: int, length: int) -> None:
    """Refuses clips that are shorter than their context.

    Raises:
        ValueError: If so, or if there is no context.
    """
    if not 1 <= context <= length:
        raise ValueError(
            f"a context of {context} frames was asked for, of clips of {length}; use 1 or more, "
            "and clips at least as long"
        )
