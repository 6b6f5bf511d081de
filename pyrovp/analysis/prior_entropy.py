r"""How uncertain does each level grow, the further it predicts? The entropy of its prior.

    H_d^n = E over rollouts of H[p(z_t^n | what was drawn before)],   t = context - 1 + d

in nats, at every tick of level n beyond the context. Entropies of densities may be negative. A
level that keeps what stands still (a digit's identity, a wall's pattern) stays as sure as it was;
one that follows what moves grows less and less sure.

A gated level's mixture counts as its chosen component, so that of a level that stays is the
entropy of the belief it holds, at first the posterior of the context's last change; so does a
level that is held altogether (VTA's abstraction within a segment).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.analysis.averages import average, average_line
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.findings import Curve, Findings, Table
from pyrovp.analysis.questions import check_context
from pyrovp.distributions import Held, TemporalMixture
from pyrovp.predict import stream
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["PriorEntropy"]

_CHUNK = 50
"""Frames times samples that are decoded at once."""


@dataclass(frozen=True)
class PriorEntropy(Analysis):
    """Entropy of each level's prior over the open-loop distance.

    Reference:
        Temporally Abstract Latent Dynamics (TALD, the earlier version of Clockwork Variational
        Autoencoders by Saxena, Ba, Hafner), Figure 10 and Appendix D.6.

    Args:
        horizon: Frames to predict beyond the context, which may be more than the clips have.
        samples: Rollouts of each clip.

    Raises:
        ValueError: If either is not a whole number from 1.
    """

    horizon: int = 100
    samples: int = 1

    def __post_init__(self) -> None:
        for name in ("horizon", "samples"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"PriorEntropy: {name} is a whole number from 1, got {value!r}")

    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Predicts on from each clip's context and records the priors' entropies.

        Raises:
            ValueError: If the clips are shorter than their context, the context is too short for
                the model, or a state's distribution has no entropy that is known.
        """
        check_model(model)
        seen = clips.context
        check_context(seen, clips.video.shape[1])
        context = clips.video[:, :seen].repeat_interleave(self.samples, 0)
        entropies = _Entropies(seen)
        chunk = max(1, _CHUNK // self.samples)
        for _ in stream(model, guide, context, self.horizon, policy=entropies, chunk=chunk):
            pass
        found = {
            level: (list(ticks), self._by_sequence(list(ticks.values()), len(context)))
            for level, ticks in sorted(entropies.found.items())
        }
        facts: dict[str, Any] = {
            "unit": "nats",
            "context": seen,
            "horizon": self.horizon,
            "samples": self.samples,
            "sequences": len(clips.video),
            "levels": {
                f"z_{level}": _facts(values, entropies.sizes[level])
                for level, (_, values) in found.items()
            },
        }
        lines = {
            f"level {level}": average_line(values, [t - seen + 1 for t in times])
            for level, (times, values) in found.items()
        }
        curve = Curve(
            title="Entropy of the prior at each tick beyond the context",
            x="distance from the context [frames]",
            y="entropy [nats]",
            lines=lines,
        )
        silent = [
            f"level {level} does not tick within {self.horizon} frames of the context"
            for level in range(1, len(model.hierarchy.levels) + 1)
            if level not in found
        ]
        return Findings(
            facts,
            {"prior_entropy": _table(facts), "prior_entropy_over_distance": curve},
            [*_sentences(facts), *silent],
        )

    def _by_sequence(self, ticks: list[Tensor], rows: int) -> Tensor:
        """Ticks [rows] as [B, N], means over samples."""
        values = torch.stack([tick.expand(rows) for tick in ticks], -1)
        return values.unflatten(0, (-1, self.samples)).mean(1)


class _Entropies(Messenger):
    """Records the entropies of states from a frame on, by level and frame; changes nothing."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.found: dict[int, dict[int, Tensor]] = {}
        self.sizes: dict[int, int] = {}

    def _pyro_post_sample(self, msg: dict) -> None:
        where = sites.parse(msg["name"])
        if where is None or where.kind != sites.STATE or where.t < self.start:
            return
        self.found.setdefault(where.level, {})[where.t] = _entropy(msg["name"], msg["fn"])
        self.sizes[where.level] = msg["fn"].event_shape.numel()


def _entropy(name: str, d: Any) -> Tensor:
    """In nats, [...]."""
    if isinstance(d, Held):  # a closed level's base is the belief that it holds
        return _entropy(name, d.base)
    if isinstance(d, TemporalMixture):
        return d.component.entropy()
    try:
        return d.entropy()
    except NotImplementedError:
        raise ValueError(
            f"{name} is drawn from a {type(d).__name__}, whose entropy is not known; give the "
            "distribution an entropy(), or use a state such as Gaussian(20)"
        ) from None


def _facts(values: Tensor, size: int) -> dict[str, float | int | None]:
    """Of a level's entropies [B, N]."""
    mean, error = average(values.mean(1))
    over_time = values.double().mean(0).cpu()
    return {
        "ticks": len(over_time),
        "first": over_time[0].item(),
        "last": over_time[-1].item(),
        "mean": mean,
        "standard_error": error,
        "deviation_over_time": over_time.std(correction=0).item(),
        "per_dimension": mean / size,
    }


def _table(facts: Mapping[str, Any]) -> Table:
    columns = {
        "ticks": "ticks",
        "first": "first [nats]",
        "last": "last [nats]",
        "mean": "mean [nats]",
        "standard_error": "standard error",
        "deviation_over_time": "deviation over time [nats]",
        "per_dimension": "mean per dimension [nats]",
    }
    rows = [[name, *(fact[key] for key in columns)] for name, fact in facts["levels"].items()]
    title = f"Entropy of the prior over {facts['horizon']} predicted frames"
    return Table(title, ["states", *columns.values()], rows)


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"entropy of {name}: {fact['first']:.4g} nats at its first tick beyond the context, "
        f"{fact['last']:.4g} at its last, within {facts['horizon']} frames (standard deviation "
        f"over time {fact['deviation_over_time']:.2g})"
        for name, fact in facts["levels"].items()
    ]
