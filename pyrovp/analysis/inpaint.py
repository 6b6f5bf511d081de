r"""What does a model make of frames that are missing in the middle of a clip?

    x_gap^0      its open-loop prediction after the frames before the gap
    z^r          ~ q(z | x with x_gap^{r-1} in the gap)
    x_gap^r      = E[x_gap | z^r]

A Markov chain that brings the frames behind the gap to bear: the guide takes the filled clip for a
whole one, and the decoder's means take the place of the guess. They can only bear where a
posterior looks ahead, by a window of several frames (CW-VAE) or a segment's summary (VTA): a guide
that filters frame by frame confirms the guess, with noise, and the chain drifts away from it.

Beside the chain stand what needs no model, the last frame before the gap and the straight line to
the first one behind it, and the reconstruction of the clip with nothing missing: how well the
model can show these frames at all.

Reference:
    Stochastic Backpropagation and Approximate Inference in Deep Generative Models (Rezende,
    Mohamed, Wierstra, 2014), on missing data imputation, https://arxiv.org/abs/1401.4082. There
    what is missing are pixels of a picture; here it is frames, which are filled with means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.analysis.averages import average, average_line, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.films import SHOWN, SSIM, figures, film, scores
from pyrovp.analysis.findings import Curve, Findings, Line, Strip, Table
from pyrovp.analysis.traces import decode, infer
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
    """Fills a gap between frames by turns of inferring and decoding.

    Args:
        start: The first missing frame; None: the first after the context.
        stop: The frame behind the gap; None: halfway from `start` to the clip's end, or as far as
            frames are modelled.
        rounds: How often the clip is inferred and decoded.

    Raises:
        ValueError: For less than one round.
    """

    start: int | None = None
    stop: int | None = None
    rounds: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.rounds, int) or self.rounds < 1:
            raise ValueError(f"a gap is filled in 1 round or more, got rounds={self.rounds!r}")

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Fills the gap and scores every round in it.

        Raises:
            ValueError: If there are no frames on both sides of the gap, or the model does not
                model all of it.
        """
        check_model(model)
        video = clips.video
        gap = self._gap(model, video.shape[1], clips.context)
        guess = open_loop(model, guide, video[:, : gap.start], len(gap)).prediction.clamp(0, 1)
        rounds = [guess]
        for _ in range(self.rounds):
            rounds.append(_round(model, guide, _filled(video, gap, rounds[-1]), gap))
        truth = video[:, gap.start : gap.stop]
        made = {
            "inpainted": rounds[-1],
            "open loop": guess,
            "copy last": video[:, gap.start - 1 : gap.start].expand_as(truth),
            "linear interpolation": _line(video, gap),
            "nothing missing": _round(model, guide, video, gap),
        }
        scored = {name: scores(frames, truth) for name, frames in made.items()}
        chain = torch.stack([scores(frames, truth)["psnr"].mean(1) for frames in rounds], 1)
        facts: dict[str, Any] = {
            "sequences": len(video),
            "start": gap.start,
            "stop": gap.stop,
            "ssim": SSIM,
            "rounds": [average(psnr)[0] for psnr in chain.unbind(1)],
            "films": {name: dict(figures(scored[name])) for name in made},
        }
        exhibits: dict[str, Table | Curve | Strip] = {
            "inpaint": _table(facts),
            "rounds": _rounds(chain, facts),
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


def _filled(video: Tensor, gap: range, frames: Tensor) -> Tensor:
    return torch.cat((video[:, : gap.start], frames, video[:, gap.stop :]), 1)


def _round(model: Model, guide: nn.Module, video: Tensor, gap: range) -> Tensor:
    """What the gap's frames are once more, with z ~ q(z | video)."""
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


def _rounds(chain: Tensor, facts: Mapping[str, Any]) -> Curve:
    last = chain.shape[1] - 1
    others = ("copy last", "linear interpolation", "nothing missing")
    levels = {name: [facts["films"][name]["psnr"]] * 2 for name in others}
    return Curve(
        "How good the filled frames are after each round (0: open loop)",
        x="round",
        y="PSNR [dB]",
        lines={
            "inpainted": average_line(chain, range(last + 1)),
            **{name: Line(y, x=[0, last]) for name, y in levels.items()},
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
    return f"PSNR of frames {facts['start']} to {facts['stop'] - 1} [dB]: {listed}"
