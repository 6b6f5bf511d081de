r"""How much of the evidence does the bound leave out? Bounds with more and more particles.

    L_K = log (1/K) Σ_k p(x, z^k) / q(z^k | x),    z^k ~ q(z | x)        (`pyrovp.infer.evidence`)

L_1 is in mean the ELBO that is trained, and L_K grows towards log p(x). What a few particles gain
is a lower bound of the guide's own shortcoming, KL[q ‖ p(z | x)]; where one particle has all the
weight, log p(x) may be far above. Of all K particles, the bound of fewer is taken in groups.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.analysis.averages import average, average_line, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.findings import Curve, Findings, Table
from pyrovp.infer.evidence import bits_per_dimension, particles
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence(Analysis):
    """Importance-weighted bounds on the evidence of whole clips.

    Args:
        num_particles: K.
        chunk: Particles at a time.

    Raises:
        ValueError: If either is no whole number from 1.

    Reference:
        Importance Weighted Autoencoders (Burda, Grosse, Salakhutdinov, 2016), Eq. 8, Theorem 1.
    """

    num_particles: int = 64
    chunk: int = 8

    def __post_init__(self) -> None:
        for name in ("num_particles", "chunk"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"Evidence: {name} is a whole number from 1, got {value!r}")

    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Draws particles of each clip's latents, inferred from all its frames.

        Raises:
            ValueError: If nothing is left of the clips to be modelled, or the two programs do not
                belong together.
        """
        check_model(model)
        frames = len(model.scored(clips.video.shape[1]))
        drawn = list(particles(model, guide, clips.video, self.num_particles, self.chunk))
        values, density = drawn[0].values, drawn[0].density
        weights = torch.cat([some.log_weight for some in drawn])  # [K, B]
        bounds = {k: _bound(weights, k) for k in _counts(self.num_particles)}
        effective = (2 * weights.logsumexp(0) - (2 * weights).logsumexp(0)).exp()
        bound, elbo = bounds[self.num_particles], bounds[1]
        facts: dict[str, Any] = {
            "unit": "nats per sequence",
            "sequences": weights.shape[1],
            "frames": frames,
            "values": values,
            "particles": self.num_particles,
            "bounds": {
                str(k): dict(zip(_PAIR, average(v), strict=True)) for k, v in bounds.items()
            },
            "gain": dict(zip(_PAIR, average(bound - elbo), strict=True)),
            "per_frame": average(bound)[0] / frames,
            "bits_per_dimension": average(bits_per_dimension(bound, values))[0]
            if density
            else None,
            "effective_particles": average(effective)[0],
        }
        curve = Curve(
            title="Bounds on the evidence of a clip",
            x="particles",
            y="nats per sequence",
            lines={"bound": average_line(torch.stack(list(bounds.values()), 1), list(bounds))},
            log=True,
        )
        return Findings(
            facts,
            {"evidence": _table(facts, bounds, values, density), "bounds": curve},
            _said(facts),
        )


_PAIR = ("mean", "standard_error")


def _counts(most: int) -> list[int]:
    """1, 2, 4, ... and all."""
    return sorted({*(2**i for i in range(most.bit_length())), most})


def _bound(weights: Tensor, count: int) -> Tensor:
    """L of `count` particles, mean over the groups that [K, B] can be cut into; [B]."""
    groups = weights[: len(weights) // count * count].unflatten(0, (-1, count))
    return (groups.logsumexp(1) - math.log(count)).mean(0)


def _table(
    facts: Mapping[str, Any], bounds: Mapping[int, Tensor], values: int, density: bool
) -> Table:
    columns = ["particles", "nats per sequence", "standard error", "nats per frame"]
    rows: list[list[str | float | int | None]] = []
    for k, bound in bounds.items():
        mean, error = average(bound)
        bits = average(bits_per_dimension(bound, values))[0] if density else None
        rows.append([k, mean, error, mean / facts["frames"], bits])
    return Table(
        f"Bounds on the evidence of {facts['frames']} frames", [*columns, "bits per value"], rows
    )


def _said(facts: Mapping[str, Any]) -> list[str]:
    count = facts["particles"]
    first, last = facts["bounds"]["1"], facts["bounds"][str(count)]
    gain, bits = facts["gain"], facts["bits_per_dimension"]
    cost = (
        "its likelihood is no density of pixels, so it has no bits per dimension"
        if bits is None
        else f"{bits:.4g} bits for a value of 256 levels"
    )
    return [
        f"evidence of {facts['frames']} frames, at least (nats per sequence): "
        f"{with_error(last['mean'], last['standard_error'])} with {count} particles, "
        f"{with_error(first['mean'], first['standard_error'])} with one: a gain of "
        f"{with_error(gain['mean'], gain['standard_error'])}; {cost}",
        f"of {count} particles {facts['effective_particles']:.3g} count, on average",
    ]
