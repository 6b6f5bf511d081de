r"""What would have come if the level had changed just then? Force its gate at one predicted frame.

    as drawn     the model's own prediction
    forced       e_n = 1 at the frame, and of the gated levels below it, which have to change too
    forbidden    e_n = 0 at the frame; the levels above stay as well, since gates are nested

All three with the same noise at every site, so they are one film up to the frame, and what differs
from there on is what the gate did. Forcing is `poutine.condition` on the gates' sites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.analysis.averages import average, average_line, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.draws import SameNoise
from pyrovp.analysis.films import SHOWN, distance, film
from pyrovp.analysis.findings import Curve, Findings, Strip, Table
from pyrovp.analysis.questions import asked_levels, check_context, gated_levels
from pyrovp.predict import open_loop
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["WhatIf"]


@dataclass(frozen=True)
class WhatIf(Analysis):
    """A change of one level forced, and forbidden, at one predicted frame.

    Args:
        level: From 1; None: the lowest gated one.
        frame: From 0; None: the first predicted one at which the level has a gate.
        horizon: Frames to predict after the context.

    Raises:
        ValueError: For a horizon below 1.
    """

    level: int | None = None
    frame: int | None = None
    horizon: int = 24

    def __post_init__(self) -> None:
        if not isinstance(self.horizon, int) or self.horizon < 1:
            raise ValueError(
                f"a prediction needs a horizon of 1 frame or more, got horizon={self.horizon!r}"
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Predicts three times with the same noise.

        Raises:
            ValueError: If no level of the model has a gate, or not this one, or not at this frame.
        """
        gated = gated_levels(model)
        level = self._level(model, gated)
        check_context(clips.context, clips.video.shape[1])
        context = clips.video[:, : clips.context]
        noise, gates = SameNoise(context.device), _Gates(clips.context, self.horizon)
        with noise, gates:
            free = open_loop(model, guide, context, self.horizon).prediction
        frame = self._frame(level, gates)
        opened = [n for n in gated if n <= level and (n, frame) in gates.found]
        films = {"as drawn": free}
        for name, at, change in (("forced", opened, True), ("forbidden", [level], False)):
            decided = dict(gates.found[n, frame].decided(change) for n in at)
            with noise:
                films[name] = open_loop(
                    model, guide, context, self.horizon, policy=poutine.condition(data=decided)
                ).prediction
        facts, apart = _facts(films, gates.found[level, frame], level, frame, clips.context)
        exhibits: dict[str, Table | Curve | Strip] = {
            "what_if": _table(facts),
            "apart": _curve(apart, clips.context, frame, level),
        }
        for i in range(min(SHOWN, len(context))):
            exhibits[f"what_if_{i}"] = Strip(
                f"A change of level {level} at frame {frame}: clip {i}",
                {name: film(frames[i]) for name, frames in films.items()},
                clips.context,
            )
        return Findings(facts, exhibits, [_sentence(facts)])

    def _level(self, model: LatentDynamics[StateSpace], gated: Sequence[int]) -> int:
        if not gated:
            raise ValueError(
                "no level of this model has a gate, so there is no change to force: its levels "
                "change whenever they tick"
            )
        level = gated[0] if self.level is None else asked_levels(model, self.level)[0]
        if level not in gated:
            raise ValueError(
                f"level {level} has no gate to be forced: it changes whenever it ticks; use one "
                f"of {list(gated)}"
            )
        return level

    def _frame(self, level: int, gates: "_Gates") -> int:
        frames = sorted(t for n, t in gates.found if n == level)
        if not frames:
            raise ValueError(
                f"level {level} has no gate within {self.horizon} frames after the context; use a "
                "longer horizon"
            )
        frame = frames[0] if self.frame is None else self.frame
        if frame not in frames:
            raise ValueError(
                f"level {level} has no gate at frame {frame!r}; of the predicted frames it has "
                f"one at {frames}"
            )
        return frame


@dataclass(frozen=True)
class _Decision:
    """A gate as it was drawn: its site, e [B] (or its logit), and p(e = 1) [B]."""

    where: sites.Site
    value: Tensor
    probability: Tensor

    def decided(self, change: bool) -> tuple[str, Tensor]:
        """The site's name, and the value that says so."""
        shut = 0.0 if self.where.kind == sites.GATE else -1.0
        return sites.site(*self.where), torch.full_like(self.value, 1.0 if change else shut)


class _Gates(Messenger):
    """Notes the gates of predicted frames."""

    def __init__(self, start: int, horizon: int) -> None:
        super().__init__()
        self.frames = range(start, start + horizon)
        self.found: dict[tuple[int, int], _Decision] = {}

    def _pyro_post_sample(self, msg: Any) -> None:
        where = sites.parse(msg["name"])
        if where is None or where.t not in self.frames:
            return
        if where.kind == sites.GATE:
            probability = msg["fn"].mean
        elif where.kind == sites.LOGIT_GATE:
            probability = msg["fn"].logits.sigmoid()
        else:
            return
        self.found[where.level, where.t] = _Decision(where, msg["value"], probability)


def _facts(
    films: Mapping[str, Tensor], gate: _Decision, level: int, frame: int, context: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    pairs = (("forced", "forbidden"), ("forced", "as drawn"), ("forbidden", "as drawn"))
    apart = {f"{a} from {b}": distance(films[a], films[b]) for a, b in pairs}
    batch = len(films["as drawn"])
    facts: dict[str, Any] = {
        "sequences": batch,
        "level": level,
        "frame": frame,
        "predicted_change": gate.probability.expand(batch).double().mean().item(),
        "changed_as_drawn": (gate.value > 0).double().mean().item(),
        "apart": {},
    }
    for name, far in apart.items():
        mean, error = average(far[:, frame - context :].mean(1))
        facts["apart"][name] = {
            "before": far[:, : frame - context].sum().item(),
            "at": far[:, frame - context].mean().item(),
            "from_there_on": mean,
            "from_there_on_error": error,
            "at_the_end": far[:, -1].mean().item(),
        }
    return facts, apart


def _table(facts: Mapping[str, Any]) -> Table:
    columns = [
        "films",
        f"rms distance at frame {facts['frame']}",
        "mean from there on",
        "standard error",
        "at the end",
    ]
    names = ("at", "from_there_on", "from_there_on_error", "at_the_end")
    rows = [[pair, *(fact[name] for name in names)] for pair, fact in facts["apart"].items()]
    title = f"A change of level {facts['level']} at frame {facts['frame']}, forced and forbidden"
    return Table(title, columns, rows)


def _curve(apart: Mapping[str, Tensor], start: int, frame: int, level: int) -> Curve:
    return Curve(
        f"What a change of level {level} makes of the frames after it",
        x="frame",
        y="rms distance",
        lines={
            name: average_line(far, range(start, start + far.shape[1]))
            for name, far in apart.items()
        },
        marks={"the change": frame},
    )


def _sentence(facts: Mapping[str, Any]) -> str:
    far = facts["apart"]["forced from forbidden"]
    return (
        f"a change of level {facts['level']} at frame {facts['frame']} (predicted with "
        f"probability {facts['predicted_change']:.3f}), forced or forbidden: films are "
        f"{with_error(far['from_there_on'], far['from_there_on_error'])} apart (rms) from there on"
    )
