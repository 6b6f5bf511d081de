"""Networks of single maps, applied to sequences and particles of them.

Convolutions and group norms want [N, C, r, r]. Leading dimensions are folded into N with time in
front: sequences of maps are stored time-major, so that the fold is a view.
"""

from torch import Size, Tensor

__all__ = ["fold", "unfold"]


def fold(x: Tensor) -> Tensor:
    """[..., C, r, r] -> [N, C, r, r], the last leading dimension in front."""
    lead = x.dim() - 3
    if lead == 1:
        return x
    return x.movedim(-4, 0).flatten(0, lead - 1) if lead else x.unsqueeze(0)


def unfold(y: Tensor, lead: Size | tuple[int, ...]) -> Tensor:
    """What `fold` folded, [N, C, r, r] -> [*lead, C, r, r].

    Example:
        >>> import torch
        >>> x = torch.rand(2, 5, 3, 4, 4)
        >>> torch.equal(unfold(fold(x), x.shape[:-3]), x)
        True
    """
    if len(lead) == 1:
        return y
    if not lead:
        return y.squeeze(0)
    return y.unflatten(0, (lead[-1], *lead[:-1])).movedim(0, len(lead) - 1)
