r"""When do gates open, was it foreseen, and did something happen? The raster of gated levels.

    e_t^n        1 where level n changed at frame t, inferred from the whole clip
    L̄            mean over clips of (1/T) Σ_t Σ_n e_t^n, the levels that are at work at a frame
    p(e_t = 1)   the prior's expectation before the frame was seen: where e_t is 1, where it is 0
    event F1     openings against a generator's true events (`pyrovp.analysis.events`)

T counts the modelled frames. The first of them changes every level, whatever happens, so rates,
expectations and F1 leave it out. Of a boundary gate (VTA) an opening begins a segment, and its F1
is that of segment boundaries.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.analysis.averages import average, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.events import Gates, chance_f1, event_f1, infer_gates, predicted_change
from pyrovp.analysis.findings import Findings, Raster, Table
from pyrovp.analysis.questions import gated_levels
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["GateRaster"]

EVENTS = ("change", "bounce")
"""States of clips that say when something happened, [B, T] or of several bodies [B, T, ...]."""


@dataclass(frozen=True)
class GateRaster(Analysis):
    """Where each gated level changes, and how that fits its prior and the truth.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Figure 5C, Tables 2 (L̄) and 3 (p(e) where it changed and stayed).

    Args:
        shown: How many clips are in the raster.
        tolerance: Frames by which an opening may miss a true event, for F1.

    Raises:
        ValueError: If no clip is to be shown, or for a negative tolerance.
    """

    shown: int = 4
    tolerance: int = 1

    def __post_init__(self) -> None:
        for name, least in (("shown", 1), ("tolerance", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"GateRaster: {name} is a whole number from {least}, got {value!r}"
                )

    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Infers the gates from all frames of the clips.

        Raises:
            ValueError: If no level has a gate, nothing is left of the clips to be modelled, or
                the true events are of another shape than the clips.
        """
        levels = gated_levels(model)
        if not levels:
            raise ValueError(
                "no level of this model has a gate: its clocks say in advance when levels change, "
                "so there is nothing to be seen; give a level gate=MixtureGate(), as models.dlh() "
                "does"
            )
        frames = model.scored(clips.video.shape[1])
        inferred = infer_gates(model, guide, clips.video)
        part = slice(frames.start, frames.stop)
        gates = Gates(*(values[..., part].cpu() for values in inferred))
        true = {name: _events(name, clips)[:, part] for name in EVENTS if name in clips.states}
        clocks = [level.clock for level in model.hierarchy.levels]
        ticks = [[clock.ticks(t) for t in range(len(frames))] for clock in clocks]
        employed, error = average(gates.e.sum(1).mean(1))
        facts: dict[str, Any] = {
            "sequences": len(gates.e),
            "frames": len(frames),
            "mean_levels": employed,
            "mean_levels_error": error,
            "gates": {f"e_{n}": _gate(gates, n, ticks[n - 1]) for n in levels},
            "events": {name: self._against(gates, when, levels) for name, when in true.items()},
        }
        exhibits: dict[str, Table | Raster] = {"gates": _gate_table(facts)}
        if true:
            exhibits["events"] = _event_table(facts, self.tolerance)
        exhibits["gate_raster"] = self._raster(gates, true, levels, frames.start)
        return Findings(facts, exhibits, _sentences(facts))

    def _against(self, gates: Gates, events: Tensor, levels: list[int]) -> dict[str, Any]:
        """Rates and F1 against true events [B, T]."""
        after = events[:, 1:]
        found: dict[str, Any] = {
            "rate": _defined(after.double().mean().item()),
            # Two levels and a gate that opens at the first frame and at the true events.
            "perfect_mean_levels": 1 + (1 + after.double().sum(1).mean().item()) / events.shape[1],
        }
        for n in levels:
            e = gates.e[:, n - 1, 1:]
            found[f"e_{n}"] = {
                "f1": _defined(event_f1(e, after, self.tolerance)),
                "chance_f1": _defined(chance_f1(e, after, self.tolerance)),
            }
        return found

    def _raster(
        self, gates: Gates, true: Mapping[str, Tensor], levels: list[int], start: int
    ) -> Raster:
        """Clip by clip: the truth, then the levels from the slowest, each with its prior."""
        rows: dict[str, Tensor] = {}
        for i in range(min(self.shown, len(gates.e))):
            for name, events in true.items():
                rows[f"clip {i + 1}: true {name}"] = events[i].double()
            for n in reversed(levels):
                expected = gates.probability[i, n - 1]
                rows[f"clip {i + 1}: level {n} changes"] = gates.e[i, n - 1]
                if not expected.isnan().all():
                    rows[f"clip {i + 1}: level {n} expected"] = expected.nan_to_num(0.0)
        return Raster("Where gates are open, and how likely their prior held it", rows, start)


def _events(name: str, clips: Clips) -> Tensor:
    """When anything of that kind happened, [B, T]."""
    events = clips.states[name].detach().cpu()
    batch, length = clips.video.shape[:2]
    if events.shape[:2] != (batch, length):
        raise ValueError(
            f"the clips are {batch} of {length} frames, but their states[{name!r}] have the shape "
            f"{list(events.shape)}; give [{batch}, {length}, ...], a value for each frame"
        )
    return (events > 0).flatten(2).any(2) if events.dim() > 2 else events > 0


def _gate(gates: Gates, level: int, ticks: list[bool]) -> dict[str, float | None]:
    e = gates.e[:, level - 1, 1:].double()
    at_ticks = e[:, torch.tensor(ticks[1:], dtype=torch.bool)]
    changed, stayed = predicted_change(gates, level)
    return {
        "rate": _defined(e.mean().item()),
        "rate_at_ticks": _defined(at_ticks.mean().item()),
        "predicted_where_changed": _defined(changed),
        "predicted_where_static": _defined(stayed),
    }


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _gate_table(facts: Mapping[str, Any]) -> Table:
    columns = {
        "rate": "changes per frame",
        "rate_at_ticks": "changes per tick",
        "predicted_where_changed": "p(change) where it changed",
        "predicted_where_static": "p(change) where it stayed",
    }
    rows = [[name, *(gate[key] for key in columns)] for name, gate in facts["gates"].items()]
    return Table("Gates after the first frame", ["gate", *columns.values()], rows)


def _event_table(facts: Mapping[str, Any], tolerance: int) -> Table:
    columns = ["events", "per frame", "gate", "F1", "F1 of random openings at its rate"]
    rows = [
        [name, events["rate"], gate, events[gate]["f1"], events[gate]["chance_f1"]]
        for name, events in facts["events"].items()
        for gate in facts["gates"]
    ]
    return Table(f"Openings against true events, ± {tolerance} frames", columns, rows)


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    employed = with_error(facts["mean_levels"], facts["mean_levels_error"])
    lines = [f"levels at work at a frame, on average: {employed}"]
    for name, gate in facts["gates"].items():
        line = f"{name} is open at {_figure(gate['rate'])} of the frames after the first"
        expected = gate["predicted_where_changed"], gate["predicted_where_static"]
        if expected != (None, None):
            line += (
                f"; its prior expected a change with {_figure(expected[0])} where there was one, "
                f"with {_figure(expected[1])} where not"
            )
        lines.append(line)
    for name, events in facts["events"].items():
        scores = ", ".join(
            f"{gate} {_figure(events[gate]['f1'])} (by chance "
            f"{_figure(events[gate]['chance_f1'])})"
            for gate in facts["gates"]
        )
        often = _figure(events["rate"])
        lines.append(f"F1 against true {name}s ({often} of the frames): {scores}")
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
