"""Which latent channels are used (`channels.png`): KL of each, the largest first.

KL per channel   mean over sequences and ticks of KL(q(z) || p(z)), nats a frame, one
                 panel a level. Above the lower dashed line a channel is active, above the upper
                 one maximally so. A level that is all flat at zero carries nothing; one with a
                 few high steps puts everything into a few channels.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
    Figure 4, https://arxiv.org/abs/1904.12165.
"""

__all__ = ["channels_figure", "channels_png"]

import os
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pyrovp.analysis.channels import ACTIVE, MAXIMAL
from pyrovp.draw.figures import LEVELS, new_figure, save, tidy, whole_numbers


def channels_png(path: str | os.PathLike[str], kl: Mapping[int, Tensor]) -> None:
    """Writes the picture of `channels_figure` to a file.

    Args:
        path: The file to write.
        kl: As for `channels_figure`, {level: [B, C]}.

    Raises:
        ValueError: If there is no level, or a shape is not [B, C].
    """
    save(channels_figure(kl), path)


def channels_figure(kl: Mapping[int, Tensor]) -> Figure:
    """Draws the channels of each level by falling KL, the slowest level on top.

    Args:
        kl: By level (1 is the fastest), the KL of each sequence and channel in nats a frame, of
            `pyrovp.analysis.infer_channels`.

    Shapes:
        kl: {level: [B, C]}

    Raises:
        ValueError: If there is no level, or a shape is not [B, C].
    """
    shapes = {level: list(values.shape) for level, values in kl.items()}
    if not shapes or any(len(shape) != 2 or 0 in shape for shape in shapes.values()):
        raise ValueError(f"kl must hold [B, C] for every level, got {shapes}")
    figure = new_figure(8.5, 2.2 * len(kl) + 0.6)
    panels = figure.subplots(len(kl), 1, sharey=True, squeeze=False)[:, 0]
    for axes, level in zip(panels, sorted(kl, reverse=True), strict=True):
        _panel(axes, level, kl[level])
    figure.align_ylabels(panels)
    panels[-1].set_xlabel("channels, sorted", fontsize=10)
    return figure


def _panel(axes: Axes, level: int, values: Tensor) -> None:
    """One level's channels, with the two thresholds."""
    channels = np.sort(values.detach().double().mean(0).cpu().numpy())[::-1]
    count = len(channels)
    axes.stairs(
        channels, np.arange(count + 1) + 0.5, fill=True, color=LEVELS[(level - 1) % len(LEVELS)]
    )
    for threshold, name in ((ACTIVE, "active"), (MAXIMAL, "maximal")):
        axes.axhline(threshold, color="#444444", linestyle="--", linewidth=0.9)
        axes.annotate(
            f"{name} {threshold:g}", (1, threshold), xycoords=("axes fraction", "data"),
            xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color="#444444",
        )  # fmt: skip
    active, maximal = (int((channels > t).sum()) for t in (ACTIVE, MAXIMAL))
    tidy(
        axes,
        title=f"level {level}: {active} of {count} channels active, {maximal} maximally; "
        f"mean {channels.mean():.3g}",
        y="KL [nats a frame]",
    )
    # Linear below a thousandth of a nat: an unused channel's exact zero stays on the picture.
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, count + 0.5)
    whole_numbers(axes)
