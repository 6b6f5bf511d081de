r"""What does a level's state say of a frame? Draw it anew from its prior, and keep all others.

    z_n ~ p(z | h, c) at one tick,   the other levels as inferred,   x = E[x | z]
    spread = sqrt(mean over clips and pixels of the variance over draws), in intensities

The tick is the one in force at the frame: the level's last one. A gated level draws from what it
predicts, p(z | h, c), whether or not its gate is open there: drawn from the belief that it holds
nothing would vary. Contexts are handed down anew. A level whose redrawn state moves no pixel
holds nothing that the frame shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.draws import predicted
from pyrovp.analysis.films import SHOWN, distance, film
from pyrovp.analysis.findings import Findings, Strip, Table
from pyrovp.analysis.questions import asked_levels, check_context, modelled_frame
from pyrovp.analysis.traces import decode, edited, infer
from pyrovp.memo import memoised
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["LevelSamples"]


@dataclass(frozen=True)
class LevelSamples(Analysis):
    """Draws of one level's state at one frame, the other levels as they were inferred.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Figures 5A, 10 and 11.

    Args:
        level: From 1; None: each in turn.
        frame: From 0; None: the last one of the context.
        count: Draws for each clip, at least 2.

    Raises:
        ValueError: For fewer draws.
    """

    level: int | None = None
    frame: int | None = None
    count: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 2:
            raise ValueError(
                f"a spread needs a whole number of draws from 2 on, got count={self.count!r}"
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Infers the clips, then redraws the state `count` times and decodes the frame.

        Raises:
            ValueError: If the model has no such level, or does not model that frame.
        """
        levels = asked_levels(model, self.level)
        video, length = clips.video, clips.video.shape[1]
        check_context(clips.context, length)
        frame = modelled_frame(model, length, clips.context, self.frame)
        with memoised():
            trace = infer(guide, video)
        # What comes after the frame has no part in it; VTA's tail only lengthens the clip.
        needed = video[:, : frame + 1 + model.hierarchy.tail]
        inferred = decode(model, needed, trace)[:, -1]
        facts: dict[str, Any] = {"sequences": len(video), "frame": frame, "draws": self.count}
        facts["levels"] = {}
        exhibits: dict[str, Table | Strip] = {}
        spreads: dict[str, Tensor] = {}
        for level in levels:
            tick = _tick(trace, level, frame)
            draws = torch.stack(
                [_redrawn(model, needed, trace, tick)[:, -1] for _ in range(self.count)], 1
            )  # [B, count, C, H, W]
            variance = draws.var(1)
            name = f"level {level}"
            spreads[name] = variance.sqrt()
            facts["levels"][f"level_{level}"] = {
                "tick": tick.t,
                "spread": variance.mean().sqrt().item(),
                "from_inferred": distance(draws, inferred[:, None]).mean().item(),
            }
            exhibits[f"level_{level}"] = _strip(level, frame, video[:, frame], inferred, draws)
        exhibits["spread"] = _spread(spreads, frame)
        exhibits["level_samples"] = _table(facts)
        return Findings(facts, exhibits, [_sentence(facts)])


class _Redraws(Messenger):
    """Draws one state from what its level predicts for it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == self.name and msg["value"] is None:
            msg["fn"] = predicted(msg["fn"])


def _tick(trace: Trace, level: int, frame: int) -> sites.Site:
    """The level's last tick up to the frame."""
    ticks = [
        where
        for where in map(sites.parse, trace.nodes)
        if where and where.kind == sites.STATE and where.level == level and where.t <= frame
    ]
    if not ticks:
        raise ValueError(f"the guide draws no state of level {level} up to frame {frame}")
    return max(ticks, key=lambda where: where.t)


def _redrawn(
    model: LatentDynamics[StateSpace], video: Tensor, trace: Trace, tick: sites.Site
) -> Tensor:
    cut = edited(trace, lambda where, value: None if where == tick else value)
    with _Redraws(sites.site(*tick)):
        return decode(model, video, cut)


def _strip(level: int, frame: int, truth: Tensor, inferred: Tensor, draws: Tensor) -> Strip:
    rows = torch.cat((torch.stack((truth, inferred), 1), draws), 1)
    return Strip(
        f"Frame {frame}: the true one, as inferred, then with level {level}'s state drawn anew",
        {f"clip {i}": film(row) for i, row in enumerate(rows[:SHOWN])},
        seen=1,
    )


def _spread(spreads: Mapping[str, Tensor], frame: int) -> Strip:
    largest = torch.stack(list(spreads.values())).amax()
    scale = torch.where(largest > 0, largest, torch.ones_like(largest))
    return Strip(
        f"Frame {frame}: standard deviation over the draws, clip by clip (white: the largest)",
        {name: film(spread[:SHOWN] / scale) for name, spread in spreads.items()},
    )


def _table(facts: Mapping[str, Any]) -> Table:
    return Table(
        f"Frame {facts['frame']} with one level's state drawn anew, {facts['draws']} draws",
        ["level", "tick", "spread of the draws", "rms distance from the inferred frame"],
        [
            [name.removeprefix("level_"), fact["tick"], fact["spread"], fact["from_inferred"]]
            for name, fact in facts["levels"].items()
        ],
    )


def _sentence(facts: Mapping[str, Any]) -> str:
    listed = ", ".join(
        f"level {name.removeprefix('level_')} {fact['spread']:.3g}"
        for name, fact in facts["levels"].items()
    )
    return f"spread of frame {facts['frame']}'s pixels when a level is drawn anew: {listed}"
