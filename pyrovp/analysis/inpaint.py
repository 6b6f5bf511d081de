r"""What does a model make of frames that are missing in the middle of a clip?

    x^k     = (x_before, E[x_gap | z^k], x_behind),  z^k ~ p(z | x_before)      K candidates
    L_k     = log p(x^k | z) - KL[q(z | x^k) ‖ p(z)],  z ~ q(z | x^k)
    kept    : argmax_k L_k

A future of the frames before the gap knows nothing of those behind it. With each of K futures in
the gap the clip is whole, its guide can infer it, and a draw of its bound says how well what comes
behind goes on from it: a ball that has to reappear there, in this colour. So any model and guide
can be asked, a filter too, whose posteriors do not look ahead.

Beside it stand what needs no model, the last frame before the gap and the straight line to the
first one behind it; a single future; the candidate that is nearest to the truth, which nobody can
know: how much better a choice among these K could be; and the reconstruction of the clip with
nothing missing: how well the model can show these frames at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.analysis.averages import average_line, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.films import SHOWN, SSIM, figures, film, scores
from pyrovp.analysis.findings import Curve, Findings, Line, Strip, Table
from pyrovp.analysis.traces import decode, infer, replayed
from pyrovp.infer.kl import level_kls
from pyrovp.memo import memoised
from pyrovp.predict import open_loop
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["Inpaint"]

Model = LatentDynamics[StateSpace]

_AROUND = 4
"""Frames shown on each side of the gap."""


@dataclass(frozen=True)
class Inpaint(Analysis):
    """Fills a gap between frames with that of K futures which fits to both of its sides.

    Args:
        start: The first missing frame; None: the first after the context.
        stop: The frame behind the gap; None: halfway from `start` to the clip's end, or as far as
            frames are modelled.
        candidates: K, how many futures are drawn.

    Raises:
        ValueError: For less than one candidate.
    """

    start: int | None = None
    stop: int | None = None
    candidates: int = 32

    def __post_init__(self) -> None:
        if not isinstance(self.candidates, int) or self.candidates < 1:
            raise ValueError(
                "a gap is filled with one of 1 or more candidates, "
                f"got candidates={self.candidates!r}"
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Fills the gap and scores what is in it.

        Raises:
            ValueError: If there are no frames on both sides of the gap, or the model does not
                model all of it.
        """
        check_model(model)
        video = clips.video
        gap = self._gap(model, video.shape[1], clips.context)
        truth = video[:, gap.start : gap.stop]
        drawn = [_candidate(model, guide, video, gap) for _ in range(self.candidates)]
        frames, bounds = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        fits = torch.stack([scores(some, truth)["psnr"].mean(1) for some in frames])
        made = {
            "inpainted": _taken(frames, bounds),
            "one future": frames[0],
            "nearest of the candidates": _taken(frames, fits),
            "copy last": video[:, gap.start - 1 : gap.start].expand_as(truth),
            "linear interpolation": _line(video, gap),
            "nothing missing": _reconstructed(model, guide, video, gap),
        }
        scored = {name: scores(frames, truth) for name, frames in made.items()}
        facts: dict[str, Any] = {
            "sequences": len(video),
            "start": gap.start,
            "stop": gap.stop,
            "ssim": SSIM,
            "candidates": self.candidates,
            "films": {name: dict(figures(scored[name])) for name in made},
        }
        exhibits: dict[str, Table | Curve | Strip] = {
            "inpaint": _table(facts),
            "candidates": _candidates(fits, bounds, facts),
            "in_the_gap": _in_the_gap(scored, gap),
        }
        rows = {"truth": truth, "given": torch.zeros_like(truth), **made}
        for i in range(min(SHOWN, len(video))):
            exhibits[f"inpaint_{i}"] = _strip(i, video[i], rows, gap)
        return Findings(facts, exhibits, [_sentence(facts)])

    def _gap(self, model: Model, length: int, context: int) -> range:
        frames = model.scored(length)
        # A frame on each side, and all of the gap among the frames that are modelled.
        first, last = max(1, frames.start), min(length - 1, frames.stop)
        start = context if self.start is None else self.start
        half = start + max(1, (length - start) // 2)
        stop = min(half, last) if self.stop is None else self.stop
        if not first <= start < stop <= last:
            raise ValueError(
                f"a gap from frame {start} up to frame {stop} was asked for, but of clips of "
                f"{length} frames this model can fill the frames from {first} up to {last}, with "
                "given ones on both sides; set start and stop, start < stop, or use longer clips"
            )
        return range(start, stop)


def _candidate(model: Model, guide: nn.Module, video: Tensor, gap: range) -> tuple[Tensor, Tensor]:
    """A future of each clip for its gap, [B, gap, C, H, W], and the bound with it, [B]."""
    future = open_loop(model, guide, video[:, : gap.start], len(gap)).prediction.clamp(0, 1)
    filled = torch.cat((video[:, : gap.start], future, video[:, gap.stop :]), 1)
    return future, _bound(model, guide, filled)


def _bound(model: Model, guide: nn.Module, video: Tensor) -> Tensor:
    """Of each clip, [B], at one draw of its latents; KLs are analytic where they can be."""
    with memoised():
        inferred = infer(guide, video)
        decoded = replayed(model, video, inferred)
    frames = decoded.nodes[sites.FRAMES]
    bound = frames["fn"].log_prob(frames["value"]).double()
    for groups in level_kls(decoded, inferred).values():
        for ticks in groups:
            bound = bound - ticks.kl.double().sum(0)
    return bound


def _taken(frames: Tensor, values: Tensor) -> Tensor:
    """Of candidates [K, B, ...] each clip's best one by its value, [K, B]."""
    best = values.argmax(0)
    return frames[best, torch.arange(len(best), device=best.device)]


def _reconstructed(model: Model, guide: nn.Module, video: Tensor, gap: range) -> Tensor:
    """The gap's frames as the whole clip's latents show them."""
    with memoised():
        frames = decode(model, video, infer(guide, video))
    first = model.scored(video.shape[1]).start
    return frames[:, gap.start - first : gap.stop - first].clamp(0, 1)


def _line(video: Tensor, gap: range) -> Tensor:
    """The straight line between the frames on both sides of the gap."""
    weight = torch.linspace(0, 1, len(gap) + 2, dtype=video.dtype, device=video.device)[1:-1]
    weight = weight[:, None, None, None]
    before, behind = video[:, gap.start - 1, None], video[:, gap.stop, None]
    return torch.lerp(before, behind, weight)


def _table(facts: Mapping[str, Any]) -> Table:
    columns = ["filled by", "PSNR [dB]", "standard error [dB]", f"SSIM ({SSIM})", "standard error"]
    rows = [[name, *fact.values()] for name, fact in facts["films"].items()]
    return Table(f"Frames {facts['start']} to {facts['stop'] - 1}, missing", columns, rows)


def _candidates(fits: Tensor, bounds: Tensor, facts: Mapping[str, Any]) -> Curve:
    """How good the kept one of the first k is, and the nearest of them; of [K, B]."""
    counts = range(1, len(fits) + 1)
    kept = [fits.gather(0, bounds[:k].argmax(0, keepdim=True))[0] for k in counts]
    others = ("copy last", "linear interpolation", "nothing missing")
    levels = {name: [facts["films"][name]["psnr"]] * 2 for name in others}
    return Curve(
        "How good the filled frames are, the more candidates are drawn",
        x="candidates",
        y="PSNR [dB]",
        lines={
            "inpainted": average_line(torch.stack(kept, 1), counts),
            "nearest of the candidates": average_line(fits.cummax(0).values.T, counts),
            **{name: Line(y, x=[1, len(fits)]) for name, y in levels.items()},
        },
    )


def _in_the_gap(scored: Mapping[str, Mapping[str, Tensor]], gap: range) -> Curve:
    return Curve(
        "Where in the gap frames are hard",
        x="frame",
        y="PSNR [dB]",
        lines={name: average_line(score["psnr"], gap) for name, score in scored.items()},
    )


def _strip(i: int, video: Tensor, rows: Mapping[str, Tensor], gap: range) -> Strip:
    first, last = max(0, gap.start - _AROUND), gap.stop + _AROUND
    before, behind = video[first : gap.start], video[gap.stop : last]
    return Strip(
        f"Frames {gap.start} to {gap.stop - 1} were missing: clip {i}",
        {name: film(torch.cat((before, frames[i], behind))) for name, frames in rows.items()},
        first,
        gap.start - first,
    )


def _sentence(facts: Mapping[str, Any]) -> str:
    listed = ", ".join(
        f"{name} {with_error(fact['psnr'], fact['psnr_error'])}"
        for name, fact in facts["films"].items()
    )
    return (
        f"PSNR of frames {facts['start']} to {facts['stop'] - 1} [dB], "
        f"of {facts['candidates']} candidates: {listed}"
    )
