r"""How much does each level take in of the clips it sees? The KL of its states.

    KL^n   = Σ over the ticks t of level n of  KL[q(z_t^n | x) ‖ p(z_t^n | past, above)]
    KL_e^n = the same of its gates, kept apart

per sequence; divided by the modelled frames it is per frame, by the ticks also per tick, and by
the dimensions of a state per dimension, which compares levels of different clocks and sizes. It
is an upper bound on the information about the clip that the level holds. A level at zero, at
every tick, has collapsed: it holds nothing.

All frames of a clip are inferred. A KL is the bound's own (`pyrovp.infer.kl`): analytic where that
is right, the sampled log-ratio elsewhere; closed ticks count as 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from pyro.poutine import Trace
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.analysis.averages import average, average_line, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.findings import Curve, Findings, Table
from pyrovp.analysis.traces import infer, replayed
from pyrovp.infer.kl import Ticks, level_kls
from pyrovp.memo import memoised
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["LevelKL"]

_UNITS = {"nats": 1.0, "bits": math.log(2)}


class _Kls(NamedTuple):
    """Of one level's states or gates: frames of the ticks, KLs [B, N], dimensions of a draw."""

    t: list[int]
    kl: Tensor
    size: int


@dataclass(frozen=True)
class LevelKL(Analysis):
    """KL of the states per level, summed over ticks and over time; that of the gates apart.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Table 2 and Figure 8, in
        nats; its earlier version "Temporally Abstract Latent Dynamics" (TALD), Table 1, in bits;
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Table 5, in nats.

    Args:
        unit: "nats" or "bits".

    Raises:
        ValueError: For another unit.
    """

    unit: Literal["nats", "bits"] = "nats"

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            raise ValueError(f"LevelKL: unit is nats or bits, got {self.unit!r}")

    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Infers the clips from all their frames and reads the KLs from the two traces.

        Raises:
            ValueError: If nothing is left of the clips to be modelled, or the two programs do not
                belong together.
        """
        check_model(model)
        frames = model.scored(clips.video.shape[1])
        with torch.no_grad(), memoised():
            q = infer(guide, clips.video)
            found = level_kls(replayed(model, clips.video, q), q)
        batch = len(clips.video)
        kls = {
            _name(kind, level): _joined(groups, batch, _size(q, kind, level, groups))
            for (kind, level), groups in sorted(found.items(), key=lambda item: item[0][::-1])
        }
        kls = {name: part._replace(kl=part.kl / _UNITS[self.unit]) for name, part in kls.items()}
        gates = {name: part for name, part in kls.items() if name.startswith("e_")}
        states = {name: part for name, part in kls.items() if name not in gates}
        facts: dict[str, Any] = {
            "unit": self.unit,
            "sequences": batch,
            "frames": len(frames),
            "states": _facts(states, len(frames)),
            "gates": _facts(gates, len(frames)),
        }
        exhibits: dict[str, Table | Curve] = {"level_kl": self._table(facts)}
        exhibits["level_kl_over_time"] = self._curve("states", states)
        if gates:
            exhibits["gate_kl_over_time"] = self._curve("gates", gates)
        return Findings(facts, exhibits, self._sentences(facts))

    def _table(self, facts: Mapping[str, Any]) -> Table:
        rows: list[list[str | float | int | None]] = [
            [
                f"{kind} {name}",
                fact["per_sequence"],
                fact["standard_error"],
                fact["per_frame"],
                fact["ticks"],
                fact["per_tick"],
                fact["per_dimension"],
                fact["share"],
            ]
            for kind in ("states", "gates")
            for name, fact in facts[kind].items()
        ]
        columns = [
            "latents",
            f"{self.unit} per sequence",
            "standard error",
            f"{self.unit} per frame",
            "ticks",
            f"{self.unit} per tick",
            f"{self.unit} per tick and dimension",
            "share of their kind",
        ]
        return Table(f"KL by level, {facts['frames']} frames a sequence", columns, rows)

    def _curve(self, kind: str, kls: Mapping[str, _Kls]) -> Curve:
        return Curve(
            title=f"KL of the {kind} at each tick, inferred from whole clips",
            x="frame",
            y=f"KL [{self.unit}]",
            lines={name: average_line(part.kl, part.t) for name, part in kls.items()},
        )

    def _sentences(self, facts: Mapping[str, Any]) -> list[str]:
        lines = []
        for kind in ("states", "gates"):
            listed = ", ".join(
                f"{name} {with_error(fact['per_sequence'], fact['standard_error'])}"
                for name, fact in facts[kind].items()
            )
            if listed:
                lines.append(
                    f"KL of the {kind} in {facts['frames']} frames, {self.unit} per sequence: "
                    f"{listed}"
                )
        return lines


def _name(kind: str, level: int) -> str:
    """A row's name: z_1, e_2; a latent that is no level's has its own."""
    if not level:
        return kind
    return f"{'e' if kind == sites.LOGIT_GATE else kind}_{level}"


def _size(q: Trace, kind: str, level: int, groups: list[Ticks]) -> int:
    name = sites.site(kind, level, groups[0].t[0]) if level else kind
    return int(q.nodes[name]["fn"].event_shape.numel())


def _joined(groups: list[Ticks], batch: int, size: int) -> _Kls:
    """Groups of ticks of one form, in the order of time."""
    t = [frame for ticks in groups for frame in ticks.t]
    kl = torch.cat([ticks.kl.expand(len(ticks.t), batch) for ticks in groups]).t()
    order = sorted(range(len(t)), key=t.__getitem__)
    return _Kls([t[i] for i in order], kl[:, order], size)


def _facts(kls: Mapping[str, _Kls], frames: int) -> dict[str, dict[str, float | int | None]]:
    totals = {name: average(part.kl.sum(1)) for name, part in kls.items()}
    together = sum(mean for mean, _ in totals.values())
    return {
        name: {
            "per_sequence": mean,
            "standard_error": error,
            "per_frame": mean / frames,
            "ticks": len(kls[name].t),
            "per_tick": mean / len(kls[name].t),
            "per_dimension": mean / len(kls[name].t) / kls[name].size,
            "share": mean / together if together > 0 else None,
        }
        for name, (mean, error) in totals.items()
    }
