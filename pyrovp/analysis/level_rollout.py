r"""What does each level move? Roll one on by itself, and hold the states of all others.

    level n       its gate open at every tick, z_n ~ p(z | h, c)
    the others    the states that they had at the end of the context; their gates stay shut

Where a context is only looked at (VTA), the others hold what they draw at the first predicted
frame. What is held are states, the random choices: a memory without a gate still takes in the
state it is given again, and a model that reads the frame before reads its own.

    departure     rms distance of a frame from the last one of the context, in intensities
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.analysis.averages import average, average_line, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.draws import SameNoise, predicted
from pyrovp.analysis.films import SHOWN, distance, film
from pyrovp.analysis.findings import Curve, Findings, Strip, Table
from pyrovp.analysis.questions import asked_levels, check_context
from pyrovp.predict import open_loop
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["LevelRollout"]


@dataclass(frozen=True)
class LevelRollout(Analysis):
    """Predictions in which one level goes on and the states of all others are held.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Figure 5B.

    Args:
        level: From 1; None: each in turn.
        horizon: Frames to predict.

    Raises:
        ValueError: For a horizon below 1.
    """

    level: int | None = None
    horizon: int = 24

    def __post_init__(self) -> None:
        if not isinstance(self.horizon, int) or self.horizon < 1:
            raise ValueError(
                f"a roll-out needs a horizon of 1 frame or more, got horizon={self.horizon!r}"
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Predicts with all levels, then with each one alone; the noise is the same.

        Raises:
            ValueError: If the model has one level only, or not the one that is asked for.
        """
        levels = asked_levels(model, self.level)
        if len(model.hierarchy.levels) < 2:
            raise ValueError(
                "this model has one level: there is no other to hold while it goes on, and its "
                "roll-out is the open-loop prediction"
            )
        check_context(clips.context, clips.video.shape[1])
        context = clips.video[:, : clips.context]
        noise = SameNoise(context.device)
        with noise:
            free = open_loop(model, guide, context, self.horizon)
        films = {"all levels": free.prediction}
        for level in levels:
            with noise:
                rolled = open_loop(model, guide, context, self.horizon, policy=_Alone(level))
            films[f"level {level} alone"] = rolled.prediction
        seen = free.reconstruction.shape[1] > 0
        begin = free.reconstruction[:, -1] if seen else free.prediction[:, 0]
        departures = {name: distance(made, begin[:, None]) for name, made in films.items()}
        truth = clips.video[:, clips.context : clips.context + self.horizon]
        if truth.shape[1] == self.horizon:
            start = context[:, -1] if seen else truth[:, 0]
            films = {"truth": truth, **films}
            departures = {"truth": distance(truth, start[:, None]), **departures}
        facts = _facts(departures, films, len(context), clips.context)
        exhibits: dict[str, Table | Curve | Strip] = {
            "level_rollout": _table(facts),
            "departure": _curve(departures, clips.context),
        }
        for i in range(min(SHOWN, len(context))):
            exhibits[f"rollout_{i}"] = Strip(
                f"One level goes on, the others are held: clip {i}",
                {name: film(frames[i]) for name, frames in films.items()},
                clips.context,
            )
        return Findings(facts, exhibits, [_sentence(facts)])


class _Alone(Messenger):
    """Beyond the context one level moves on at every tick; all others keep their states."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level
        self._last: dict[int, Tensor] = {}

    def _pyro_sample(self, msg: Any) -> None:
        where = sites.parse(msg["name"])
        if where is None or msg["value"] is not None:
            return
        own = where.level == self.level
        if where.kind == sites.STATE and own:
            msg["fn"] = predicted(msg["fn"])  # drawn by whoever draws
        elif where.kind == sites.STATE:
            msg["value"] = self._last.get(where.level)
        elif where.kind == sites.GATE:
            msg["value"] = torch.full_like(msg["fn"](), 1.0 if own else 0.0)
        elif where.kind == sites.LOGIT_GATE:
            msg["value"] = torch.full_like(msg["fn"](), 1.0 if own else -1.0)
        msg["done"] = msg["value"] is not None

    def _pyro_post_sample(self, msg: Any) -> None:
        where = sites.parse(msg["name"])
        if where is not None and where.kind == sites.STATE:
            self._last[where.level] = msg["value"]


def _facts(
    departures: Mapping[str, Tensor], films: Mapping[str, Tensor], sequences: int, context: int
) -> dict[str, Any]:
    facts: dict[str, Any] = {"sequences": sequences, "context": context, "films": {}}
    for name, far in departures.items():
        mean, error = average(far.mean(1))
        frames = films[name]
        moves = distance(frames[:, 1:], frames[:, :-1]) if frames.shape[1] > 1 else far * 0
        facts["films"][name] = {
            "departure": mean,
            "departure_error": error,
            "step": average(moves.mean(1))[0],
        }
    return facts


def _table(facts: Mapping[str, Any]) -> Table:
    columns = [
        "film",
        "rms distance from the context's last frame",
        "standard error",
        "rms distance of neighbouring frames",
    ]
    rows = [
        [name, fact["departure"], fact["departure_error"], fact["step"]]
        for name, fact in facts["films"].items()
    ]
    return Table("What each level moves, the others held", columns, rows)


def _curve(departures: Mapping[str, Tensor], start: int) -> Curve:
    return Curve(
        "How far each level alone carries the picture",
        x="frame",
        y="rms distance from the context's last frame",
        lines={
            name: average_line(far, range(start, start + far.shape[1]))
            for name, far in departures.items()
        },
    )


def _sentence(facts: Mapping[str, Any]) -> str:
    listed = ", ".join(
        f"{name} {with_error(fact['departure'], fact['departure_error'])}"
        for name, fact in facts["films"].items()
    )
    return f"rms distance from the context's last frame, mean over the roll-out: {listed}"
