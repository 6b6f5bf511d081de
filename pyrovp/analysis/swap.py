r"""Which part of a clip does a level hold? Let two clips exchange it, and decode both.

    A' = E[x | z of A, but level n's of B]                 the rest as inferred, nothing re-infers
    share = |A' - A|² / (|A' - A|² + |A' - B|²)

with A and B the reconstructions: 0 where the exchange changed nothing, 1 where it made A into B.
The level's gates and beliefs go with its states. A model that reads the frame before still reads
the clip's own frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.analysis.averages import average, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.films import SHOWN, distance, film
from pyrovp.analysis.findings import Findings, Strip, Table
from pyrovp.analysis.questions import asked_levels
from pyrovp.analysis.traces import decode, exchanged, infer
from pyrovp.memo import memoised
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["Swap"]


@dataclass(frozen=True)
class Swap(Analysis):
    """Pairs of clips exchange one level's states.

    Args:
        level: From 1; None: each in turn.
        pairs: Clips that exchange, by their numbers from 0; None: the first with the second, the
            third with the fourth, and so on.

    Raises:
        ValueError: If the pairs are not pairs of different numbers.
    """

    level: int | None = None
    pairs: Sequence[tuple[int, int]] | None = None

    def __post_init__(self) -> None:
        if self.pairs is None:
            return
        if not self.pairs or any(len(pair) != 2 or pair[0] == pair[1] for pair in self.pairs):
            raise ValueError(
                "pairs are two different clips each, as in [[0, 1], [2, 5]], "
                f"got {list(self.pairs)}"
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Infers the clips, exchanges a level and decodes.

        Raises:
            ValueError: If the model has no such level, or a pair names a clip that is not there.
        """
        levels = asked_levels(model, self.level)
        pairs = self._pairs(len(clips.video))
        video = clips.video[[clip for pair in pairs for clip in pair]]  # [A, B, A, B, ...]
        partner = [i ^ 1 for i in range(len(video))]
        with memoised():
            trace = infer(guide, video)
            made = {"own": decode(model, video, trace)}
        for level in levels:
            made[f"level {level}"] = decode(model, video, exchanged(trace, level, partner))
        facts: dict[str, Any] = {"pairs": [list(pair) for pair in pairs], "levels": {}}
        for level in levels:
            facts["levels"][f"level_{level}"] = _facts(
                made["own"], made[f"level {level}"], partner
            )
        exhibits: dict[str, Table | Strip] = {"swap": _table(facts)}
        start, length = model.scored(video.shape[1]).start, made["own"].shape[1]
        for i, (a, b) in enumerate(pairs[:SHOWN]):
            rows = {"A": made["own"][2 * i], "B": made["own"][2 * i + 1]}
            for level in levels:
                rows[f"A with B's level {level}"] = made[f"level {level}"][2 * i]
                rows[f"B with A's level {level}"] = made[f"level {level}"][2 * i + 1]
            exhibits[f"swap_{a}_{b}"] = Strip(
                f"Clips {a} (A) and {b} (B), reconstructed, exchange a level",
                {name: film(frames) for name, frames in rows.items()},
                start,
                length,
            )
        return Findings(facts, exhibits, [_sentence(facts)])

    def _pairs(self, clips: int) -> list[tuple[int, int]]:
        if self.pairs is None:
            if clips < 2:
                raise ValueError(f"two clips exchange a level, got {clips}; give 2 or more")
            return [(i, i + 1) for i in range(0, clips - 1, 2)]
        pairs = [(a, b) for a, b in self.pairs]
        for pair in pairs:
            if not all(clip in range(clips) for clip in pair):
                raise ValueError(
                    f"pair {list(pair)} names a clip that is not there: there are {clips}, "
                    f"numbered 0 to {clips - 1}"
                )
        return pairs


def _facts(own: Tensor, swapped: Tensor, partner: Sequence[int]) -> dict[str, float | None]:
    """Means over clips; the errors count clips as independent."""
    from_own, to_other = distance(swapped, own), distance(swapped, own[list(partner)])
    moved, left = from_own.square().sum(1), to_other.square().sum(1)  # [B]
    share, error = average(moved / (moved + left).clamp_min(1e-30))
    return {
        "share": share,
        "share_error": error,
        "from_own": from_own.mean().item(),
        "from_other": to_other.mean().item(),
        "apart": distance(own, own[list(partner)]).mean().item(),
    }


def _table(facts: Mapping[str, Any]) -> Table:
    columns = [
        "level",
        "share of the other clip",
        "standard error",
        "rms distance from the own clip",
        "from the other",
        "of the two clips",
    ]
    names = ("share", "share_error", "from_own", "from_other", "apart")
    rows = [
        [level.removeprefix("level_"), *(fact[name] for name in names)]
        for level, fact in facts["levels"].items()
    ]
    return Table(f"One level exchanged in {len(facts['pairs'])} pairs of clips", columns, rows)


def _sentence(facts: Mapping[str, Any]) -> str:
    listed = ", ".join(
        f"level {name.removeprefix('level_')} {with_error(fact['share'], fact['share_error'])}"
        for name, fact in facts["levels"].items()
    )
    return f"how far a clip becomes another when it takes its level (0 not at all, 1): {listed}"
