r"""Segments: what memories do at boundaries, and what a guide sees of a segment's frames.

m_t = 1: frame t begins a segment. A memory h may

    update_or_copy     h_t = m_t cell(x_t, h_{t-1}) + (1 - m_t) h_{t-1}
    reset_or_update    h_t = m_t parent_t + (1 - m_t) cell(x_t, h_{t-1})

and the frames around t, of which a cell makes a summary, may be

    past       x_1 ... x_t
    prefix     from the first frame of t's segment to x_t
    suffix     from x_t to the last frame of t's segment

Gates are numbers here, 0 or 1, so that what carries a straight-through gradient passes it on.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), Sections 2.2 and 2.3,
    https://arxiv.org/abs/1910.00775
"""

import torch
from torch import Tensor

from pyrovp.cells import Cell
from pyrovp.shapes import over

__all__ = ["mix", "past", "prefix", "reset_or_update", "suffix", "update_or_copy"]


def mix(m: Tensor, read: Tensor, copy: Tensor, event_dim: int = 1) -> Tensor:
    """m · read + (1 - m) · copy, each exactly where m is 1 or 0.

    Args:
        m: [..., B].
        read, copy: [..., B, D], or [..., B, C, r, r] with event_dim 3.
        event_dim: Dimensions behind the batch.
    """
    m = over(m, event_dim)
    if read.dtype != copy.dtype:  # under autocast; lerp refuses that
        return m * read + (1 - m) * copy
    return torch.lerp(copy, read, m)


def update_or_copy(cell: Cell, m: Tensor, memory: Tensor, *inputs: Tensor) -> Tensor:
    """A memory that takes in its inputs at boundaries and stands still between them.

    Args:
        cell: The memory's.
        m: Boundaries [..., B].
        memory: So far, [..., B, *dims].
        inputs: The parts of the input, [..., B, I_i].
    """
    return mix(m, cell.step(memory, *inputs), memory, len(cell.dims))


def reset_or_update(
    cell: Cell, m: Tensor, memory: Tensor, parent: Tensor, *inputs: Tensor
) -> Tensor:
    """A memory that starts again from its parent at boundaries and moves on between them.

    Args:
        cell: The memory's.
        m: Boundaries [..., B].
        memory: So far, [..., B, *dims].
        parent: What takes its place at a boundary, [..., B, *dims].
        inputs: The parts of the input, [..., B, I_i].
    """
    return mix(m, parent, cell.step(memory, *inputs), len(cell.dims))


def past(cell: Cell, x: Tensor) -> Tensor:
    """The frames so far: [B, T, F] -> [B, T, D]."""
    return cell.scan(cell.initial(x.shape[0], x), x)


def prefix(cell: Cell, x: Tensor, m: Tensor) -> Tensor:
    """The frames from each one's segment's start to it.

    Args:
        cell: Makes the summary.
        x: Features [B, T, F].
        m: Boundaries [..., B, T].

    Shapes:
        returns: [..., B, T, D]
    """
    return cell.scan(cell.initial(x.shape[0], x), x, reset=m)


def suffix(cell: Cell, x: Tensor, m: Tensor) -> Tensor:
    """The frames from each one to its segment's end; the last segment ends with the clip.

    Args:
        cell: Makes the summary.
        x: Features [B, T, F].
        m: Boundaries [..., B, T].

    Shapes:
        returns: [..., B, T, D]
    """
    # Backwards, a memory starts again before a segment's last frame: the next is a boundary.
    ends = torch.cat((m[..., 1:], torch.ones_like(m[..., :1])), -1)
    return cell.scan(cell.initial(x.shape[0], x), x, reset=ends, reverse=True)
