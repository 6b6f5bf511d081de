r"""The colour that a frame shows, among the pure ones: each channel on or off, not all alike.

    p_k(pixel) = max(0, least of the channels that are on in k - most of those that are off)
                 / most of all

is 1 where a pixel has colour k, at any brightness, 0 where it is grey, and between for what lies
between. With a pixel's ink as its weight w,

    shown colour = argmax_k Σ w p_k,        purity = Σ w p_k / Σ w   of that colour

so a ball that is half red and half green has a purity of 1/2, and so has an orange one. Their
*mean* would be a dark yellow, which is why pixels are judged one by one.
"""

__all__ = ["ShownColour", "shown_changes", "shown_colour"]

from typing import NamedTuple

import torch
from torch import Tensor

from pyrovp.metrics.ink import brightness, ink


class ShownColour(NamedTuple):
    """What frames show.

    Args:
        colour: Index of the colour; -1 where there is hardly any ink.
        purity: In [0, 1]; nan there.

    Shapes:
        colour: [...] int64
        purity: [...]
    """

    colour: Tensor
    purity: Tensor


def shown_colour(frames: Tensor, colours: Tensor, least: float) -> ShownColour:
    """The colour with most ink in each frame, and how pure it is.

    Args:
        frames: Frames with three channels.
        colours: What there is to choose from: each channel 0 or 1, in each colour one of either.
        least: Ink of a whole frame below which it shows nothing.

    Shapes:
        frames: [..., 3, H, W]
        colours: [K, 3]

    Raises:
        ValueError: If frames or colours have other channels, or a colour is no pure one.
    """
    if frames.shape[-3] != 3 or colours.dim() != 2 or colours.shape[1] != 3:
        raise ValueError(
            f"colours are red, green and blue: frames [..., 3, H, W] and colours [K, 3] are "
            f"needed, got {list(frames.shape)} and {list(colours.shape)}"
        )
    on = [[i for i in range(3) if colour[i]] for colour in colours.tolist()]
    if not all(0 < len(channels) < 3 for channels in on):
        raise ValueError(f"a colour has one or two channels that are on, got {colours.tolist()}")
    weight = ink(brightness(frames))  # [..., H, W]
    pixels = frames.clamp(0, 1)
    most = pixels.amax(-3).clamp(min=torch.finfo(frames.dtype).tiny)
    of_each = []
    for channels in on:  # a colour at a time: all at once are as many copies of the film
        others = [i for i in range(3) if i not in channels]
        least_on = pixels[..., channels, :, :].amin(-3)
        most_off = pixels[..., others, :, :].amax(-3)
        purity = (least_on - most_off).clamp(min=0) / most
        of_each.append((weight * purity).sum((-2, -1)))
    best, colour = torch.stack(of_each, -1).max(-1)
    total = weight.sum((-2, -1))
    there = total >= least
    return ShownColour(
        torch.where(there, colour, -1),
        torch.where(there, best / total.where(there, 1.0), torch.nan),
    )


def shown_changes(colour: Tensor, before: Tensor) -> Tensor:
    """At which frames the colour is another than the one that was last seen.

    A frame without a colour changes nothing, and the next one is compared with the last that had
    one.

    Args:
        colour: Shown at each frame; -1: none.
        before: Shown at the frame before the first.

    Shapes:
        colour: [..., T]
        before: [...]
        returns: bool [..., T]

    Example:
        >>> shown_changes(torch.tensor([0, 0, -1, 1, -1, 1]), torch.tensor(2)).int()
        tensor([1, 0, 0, 1, 0, 0], dtype=torch.int32)
    """
    last, changes = before, []
    for shown in colour.unbind(-1):
        seen = shown >= 0
        changes.append(seen & (last >= 0) & (shown != last))
        last = torch.where(seen, shown, last)
    return torch.stack(changes, -1)
