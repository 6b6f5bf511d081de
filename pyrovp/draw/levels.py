"""What each level does (`levels.png`): its information in the context, its updates throughout.

KL per level   mean over sequences of KL(q(z_t^n) || p(z_t^n)) in nats at context frame t: how
               much level n learned from that frame. Zero where the level did not tick. A level
               with zero everywhere carries nothing.
gate raster    e_t^n in {0, 1}, one line a level, dark where it changed; the share of changed
               frames stands at the right, in the context and after it. A gate that never opens
               is one white line, a gate that always opens one dark line.
"""

__all__ = ["levels_figure", "levels_png"]

import os
from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from pyrovp.draw.figures import LEVELS, new_figure, save, tidy, whole_numbers
from pyrovp.words import counted

_BOUNDARY = "#D55E00"


def levels_png(
    path: str | os.PathLike[str],
    kl: Mapping[int, Tensor],
    gates: Tensor | None = None,
    sequences: int = 3,
) -> None:
    """Writes the picture of `levels_figure` to a file.

    Args:
        path: The file to write.
        kl: As for `levels_figure`, {level: [B, Tc]}.
        gates: As for `levels_figure`, [B, L, Tc + horizon].
        sequences: As for `levels_figure`.

    Raises:
        ValueError: If there is no level, or the shapes do not fit together.
    """
    save(levels_figure(kl, gates, sequences), path)


def levels_figure(
    kl: Mapping[int, Tensor], gates: Tensor | None = None, sequences: int = 3
) -> Figure:
    """Draws KL per level over the context and, where there are gates, rasters of their openings.

    Args:
        kl: By level (1 is the fastest), the KL of the states in nats at each context frame.
        gates: e of every level over context and prediction, 1 = change or tick; None leaves the
            rasters out.
        sequences: Greatest number of sequences whose rasters are drawn.

    Shapes:
        kl: {level: [B, Tc]}
        gates: [B, L, Tc + horizon], index 0 of L being level 1

    Raises:
        ValueError: If there is no level, or the shapes do not fit together.
    """
    context = _check(kl, gates)
    shown = 0 if gates is None else min(sequences, gates.shape[0])
    height = max(1.5, 4.2 / len(kl)) * len(kl) + 0.8
    raster = 0.28 * gates.shape[1] + 0.75 if gates is not None else 0.0
    figure = new_figure(10.5, height + shown * raster)
    ratios = [height, shown * raster] if shown else [height]
    parts = figure.subfigures(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    _information(parts[0], kl)
    if gates is not None and shown:
        _rasters(parts[1], gates, context, shown)
    return figure


def _check(kl: Mapping[int, Tensor], gates: Tensor | None) -> int:
    """Refuses what does not fit together; returns the number of context frames."""
    shapes = {level: list(value.shape) for level, value in kl.items()}
    first = next(iter(shapes.values()), [])
    if len(first) != 2 or any(shape != first for shape in shapes.values()):
        raise ValueError(f"kl must hold [B, Tc] of one shape for every level, got {shapes}")
    if gates is not None and (
        gates.ndim != 3 or gates.shape[0] != first[0] or gates.shape[2] < first[1]
    ):
        raise ValueError(
            f"gates must be [B, L, Tc + horizon] with the batch and context of kl {first}, "
            f"got {list(gates.shape)}"
        )
    return first[1]


def _information(figure: SubFigure, kl: Mapping[int, Tensor]) -> None:
    """One panel a level, the slowest on top, each with its own scale."""
    panels = figure.subplots(len(kl), 1, sharex=True, squeeze=False)[:, 0]
    for axes, level in zip(panels, sorted(kl, reverse=True), strict=True):
        values = kl[level].detach().double().cpu()
        mean = values.mean(0)
        frames = torch.arange(len(mean))
        axes.bar(frames.numpy(), mean.numpy(), width=0.8, color=LEVELS[(level - 1) % len(LEVELS)])
        if len(values) > 1:
            error = values.std(0) / len(values) ** 0.5
            ticks = mean > 0
            axes.errorbar(
                frames[ticks].numpy(), mean[ticks].numpy(), error[ticks].numpy(),
                fmt="none", ecolor="#444444", elinewidth=0.8,
            )  # fmt: skip
        tidy(
            axes,
            title=f"level {level}: {mean.sum():.4g} nats in the context, "
            f"{mean.mean():.3g} per frame",
            y="KL [nats]",
        )
        axes.set_ylim(bottom=0)
        axes.set_xlim(-0.6, len(mean) - 0.4)
        whole_numbers(axes)
    figure.align_ylabels(panels)
    label = f"context frame t (mean ± standard error of {counted(len(values), 'sequence')})"
    panels[-1].set_xlabel(label, fontsize=10)


def _rasters(figure: SubFigure, gates: Tensor, context: int, shown: int) -> None:
    """One raster a sequence; the vermilion line stands before the first predicted frame."""
    panels = figure.subplots(shown, 1, sharex=True, squeeze=False)[:, 0]
    for i, axes in enumerate(panels):
        _raster(axes, gates[i].detach().float().cpu(), context)
        what = "change (dark) and hold (light) per level; share of change at the right, "
        phases = "context → predicted" if gates.shape[2] > context else "context"
        axes.set_title(
            f"sequence {i}" + (f": {what}{phases}" if i == 0 else ""), fontsize=11, loc="left"
        )
    panels[-1].set_xlabel("frame t", fontsize=10)


def _raster(axes: Axes, e: Tensor, context: int) -> None:
    """Draws e [L, T] with the slowest level on top."""
    levels, length = e.shape
    axes.imshow(
        e.flip(0).numpy(),
        cmap=ListedColormap(["#eef1f4", "#1f3b57"]),
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, length - 0.5, 0, levels),
    )
    for line in range(1, levels):
        axes.axhline(line, color="white", linewidth=2.5)
    middle = [n + 0.5 for n in range(levels)]
    axes.set_yticks(middle, [f"level {n + 1}" for n in range(levels)], fontsize=9)
    shares = [f"{e[n, :context].mean():.0%}" for n in range(levels)]
    if length > context:
        axes.axvline(context - 0.5, color=_BOUNDARY, linewidth=2)
        shares = [f"{s} → {e[n, context:].mean():.0%}" for n, s in enumerate(shares)]
    right = axes.secondary_yaxis("right")
    right.set_yticks(middle, shares, fontsize=9)
    for each in (axes, right):
        each.tick_params(length=0, axis="y")
        each.spines[:].set_visible(False)
    axes.tick_params(labelsize=9)
