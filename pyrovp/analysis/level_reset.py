r"""What does each level hold of a clip? Take it away, and look at what the frames have lost.

    blind      level n follows its prior, the others infer given what it drew
    dropped    all levels infer, then level n is taken out of the trace and drawn from its prior
    cost       score(all levels infer) - score(reset), against the truth, clip by clip

Blind, a level's content can be made good by the others, which know what it drew; dropped, it
cannot. A level whose posterior is its prior loses nothing either way: with the same noise the
frames are the very same.

Blind in the context of a prediction, the model goes on from what the other levels know: what
differs from the true continuation is what the level holds. Where all of a context is given and
nothing of it inferred (VTA) there is no such prediction, and only clips are reconstructed.
Reconstructions of a model that reads the frame before see the true one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.analysis.averages import with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.draws import SameNoise
from pyrovp.analysis.films import SHOWN, SSIM, figures, film, scores
from pyrovp.analysis.findings import Findings, Strip, Table
from pyrovp.analysis.questions import asked_levels, check_context
from pyrovp.analysis.traces import decode, infer, without
from pyrovp.memo import memoised
from pyrovp.predict import open_loop
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["LevelReset"]

Model = LatentDynamics[StateSpace]
Films = dict[str, Tensor]


@dataclass(frozen=True)
class LevelReset(Analysis):
    """Each level in turn follows its prior: reconstructions and predictions beside the truth.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 3.6 and Figure 7;
        its earlier version "Temporally Abstract Latent Dynamics" (TALD), Section 4.6, Figures 9
        and 11: blind levels. They show predictions and have no figures.

    Args:
        levels: From 1; None: each in turn.

    Raises:
        ValueError: For an empty list, or what is none.
    """

    levels: Collection[int] | None = None

    def __post_init__(self) -> None:
        levels = self.levels
        if levels is not None and (not isinstance(levels, Collection) or not levels):
            raise ValueError(
                f"levels are a list such as [1, 2], or None for each in turn, got {levels!r}"
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Resets the levels, one after the other, in reconstructions and in predictions.

        Raises:
            ValueError: If the model has no such level, or the clips do not suit it.
        """
        video, context = clips.video, clips.context
        check_context(context, video.shape[1])
        levels = asked_levels(model, None)
        if self.levels is not None:
            levels = sorted({n for level in self.levels for n in asked_levels(model, level)})
        noise = SameNoise(video.device)
        frames = model.scored(video.shape[1])
        truth = video[:, frames.start : frames.stop]
        made = _reconstructions(model, guide, video, levels, noise)
        exhibits: dict[str, Table | Strip] = {}
        facts: dict[str, Any] = {"sequences": len(video), "frames": len(frames), "ssim": SSIM}
        for how in ("blind", "dropped"):
            part = _of(made, how)
            facts[how] = _facts(part, truth)
            exhibits[how] = _table(f"Reconstructions with a level {how}", facts[how])
        rows = {"truth": truth, **made}
        exhibits |= _strips("reconstruction", "Levels reset", rows, frames.start, len(frames))
        given = model.hierarchy.takes(context)
        if given < context < video.shape[1]:
            made = _predictions(model, guide, video, context, levels, noise)
            seen = context - given
            predicted = {name: frames[:, seen:] for name, frames in made.items()}
            facts["predicted"] = _facts(predicted, video[:, context:])
            exhibits["predicted"] = _table(
                "Predictions after a context in which a level is blind", facts["predicted"]
            )
            rows = {"truth": video[:, given:], **made}
            title = "Predictions after a level was blind in the context"
            exhibits |= _strips("prediction", title, rows, given, seen)
        return Findings(facts, exhibits, _sentences(facts))


def _reconstructions(
    model: Model, guide: nn.Module, video: Tensor, levels: Sequence[int], noise: SameNoise
) -> Films:
    with memoised(), noise:
        trace = infer(guide, video)
        made = {"all levels": decode(model, video, trace)}
    for level in levels:
        with memoised(), noise:
            blind = infer(guide, video, blind={level})
            made[f"level {level} blind"] = decode(model, video, blind)
    for level in levels:
        with noise:
            made[f"level {level} dropped"] = decode(model, video, without(trace, level))
    return made


def _predictions(
    model: Model,
    guide: nn.Module,
    video: Tensor,
    context: int,
    levels: Sequence[int],
    noise: SameNoise,
) -> Films:
    """Contexts, as far as they are modelled, and their continuations."""
    asked: dict[str, Collection[int]] = {"all levels": ()}
    asked |= {f"level {level} blind": (level,) for level in levels}
    made = {}
    for name, blind in asked.items():
        with noise:
            rollout = open_loop(
                model, _Blind(guide, blind), video[:, :context], video.shape[1] - context
            )
        made[name] = torch.cat((rollout.reconstruction, rollout.prediction), 1)
    return made


class _Blind(nn.Module):
    """A guide some of whose levels are blind whenever it is called."""

    def __init__(self, guide: nn.Module, levels: Collection[int]) -> None:
        super().__init__()
        self.guide = guide
        self.hierarchy = guide.hierarchy
        self.levels = frozenset(levels)

    def forward(self, video: Tensor, *, ends: bool = True) -> None:
        self.guide(video, ends=ends, blind=self.levels)


def _of(made: Films, how: str) -> Films:
    return {name: frames for name, frames in made.items() if name.endswith(("all levels", how))}


def _facts(made: Films, truth: Tensor) -> dict[str, Any]:
    """By row: scores, what they cost against all levels', and the likeness to theirs."""
    full = made["all levels"]
    best = scores(full, truth)
    facts: dict[str, Any] = {}
    for name, frames in made.items():
        reached = scores(frames, truth)
        facts[name] = dict(figures(reached))
        if frames is not full:
            facts[name]["cost"] = figures(
                {metric: best[metric] - reached[metric] for metric in best}
            )
            facts[name]["to_all_levels"] = figures(scores(frames, full))
    return facts


def _table(title: str, facts: Mapping[str, Any]) -> Table:
    rows: list[list[str | float | int | None]] = []
    for name, fact in facts.items():
        cost, alike = fact.get("cost", {}), fact.get("to_all_levels", {})
        rows.append(
            [
                name,
                fact["psnr"],
                cost.get("psnr"),
                cost.get("psnr_error"),
                fact["ssim"],
                cost.get("ssim"),
                cost.get("ssim_error"),
                alike.get("psnr"),
                alike.get("ssim"),
            ]
        )
    columns = [
        "inferred by",
        "PSNR [dB]",
        "its cost [dB]",
        "standard error [dB]",
        f"SSIM ({SSIM})",
        "its cost",
        "standard error",
        "PSNR against all levels' [dB]",
        "SSIM against all levels'",
    ]
    return Table(title, columns, rows)


def _strips(name: str, title: str, rows: Films, start: int, seen: int) -> dict[str, Table | Strip]:
    return {
        f"{name}_{i}": Strip(
            f"{title}: clip {i}",
            {label: film(frames[i]) for label, frames in rows.items()},
            start,
            seen,
        )
        for i in range(min(SHOWN, len(rows["truth"])))
    }


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for part, what in (
        ("blind", "reconstructions, one level blind"),
        ("dropped", "reconstructions, one level dropped"),
        ("predicted", "predictions, one level blind in the context"),
    ):
        if part not in facts:
            continue
        costs = ", ".join(
            f"level {name.split()[1]} {with_error(cost['psnr'], cost['psnr_error'])} dB"
            for name, fact in facts[part].items()
            if (cost := fact.get("cost"))
        )
        best = facts[part]["all levels"]["psnr"]
        lines.append(f"{what}: {best:.2f} dB with all levels, of which it costs: {costs}")
    return lines
