r"""The evidence of videos, from below, with importance-weighted particles.

    z^k ~ q(z | x),    w_k = p(x, z^k) / q(z^k | x),    L_K = log (1/K) Σ_k w_k

E[L_1] is the ELBO, E[L_K] grows with K, and L_K tends to log p(x), where q covers the posterior.
Where it does not (a guide that decides its gates with certainty leaves the other decision out) it
tends to less. As the weights of videos are far apart, one particle often makes most of the sum:

    effective particles = (Σ w)² / Σ w²

tells; a handful out of thousands says that L_K is still well below log p(x).

Pixels are continuous, so evidence is a log *density* in nats: it may be positive, and it compares
models of one likelihood only. In bits per dimension of n pixel values in [0, 1] it is

    bits = -L_K / (n log 2) + log2 256

what a value of 256 levels costs if the density is constant within a level; a model that knows
nothing, uniform on [0, 1], has 8. Frames that a model takes as given condition all of it, and are
not counted. Priors that hold a guide's belief of earlier frames (temporal mixtures) are those of a
model to which earlier frames are known.

Reference:
    Importance Weighted Autoencoders (Burda, Grosse, Salakhutdinov, 2016), Eq. 8 and Theorem 1,
    https://arxiv.org/abs/1509.00519
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine import Trace
from torch import Tensor

from pyrovp.checks import check_video
from pyrovp.distributions import BernoulliFrames
from pyrovp.infer.kl import latents
from pyrovp.memo import memoised
from pyrovp.programs import check_same

__all__ = [
    "Evidence",
    "Particles",
    "bits_per_dimension",
    "importance_weighted_evidence",
    "particles",
]

Program = Callable[..., Any]


class Particles(NamedTuple):
    """Some particles.

    Args:
        log_weight: log w_k of each sequence, nats, [K, B].
        values: How many pixel values are scored in a sequence.
        density: Whether they have a density: a Bernoulli likelihood of grey pixels has none.
    """

    log_weight: Tensor
    values: int
    density: bool


class Evidence(NamedTuple):
    """Bounds on the evidence of each sequence.

    Args:
        nats: L_K, [B].
        bits_per_dimension: The same for a pixel value of 256 levels, lower is better, [B]; None
            where the likelihood is no density of pixels.
        elbo: Mean of log w_k, whose expectation is the ELBO, nats, [B].
        effective: Effective particles, 1 to K, [B].
    """

    nats: Tensor
    bits_per_dimension: Tensor | None
    elbo: Tensor
    effective: Tensor


def importance_weighted_evidence(
    model: Program, guide: Program, video: Tensor, num_particles: int = 64, chunk: int = 8
) -> Evidence:
    """L_K of each sequence; memory does not grow with K.

    The networks are used as they are: call `eval()` of both first. Noise comes from the ambient
    generators.

    Args:
        model, guide: The two programs.
        video: Whole clips [B, T, C, H, W].
        num_particles: K.
        chunk: Particles at a time.

    Raises:
        ValueError: For a malformed video, fewer than one particle, or programs that do not belong
            together.

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> guide, video = guides.rssm(model), torch.rand(2, 3, 1, 16, 16)
        >>> importance_weighted_evidence(model, guide, video, num_particles=4).nats.shape
        torch.Size([2])
    """
    total = squares = summed = None
    for some in particles(model, guide, video, num_particles, chunk):
        log = some.log_weight.double()
        parts = log.logsumexp(0), (2 * log).logsumexp(0), log.sum(0)
        if total is None or squares is None or summed is None:
            total, squares, summed = parts
        else:
            total, squares = torch.logaddexp(total, parts[0]), torch.logaddexp(squares, parts[1])
            summed = summed + parts[2]
    assert total is not None and squares is not None and summed is not None
    nats = total - math.log(num_particles)
    bits = bits_per_dimension(nats, some.values) if some.density else None
    return Evidence(nats, bits, summed / num_particles, (2 * total - squares).exp())


def bits_per_dimension(nats: Tensor, values: int) -> Tensor:
    """What a pixel value of 256 levels costs, of log densities of `values` values in [0, 1].

    Example:
        >>> bits_per_dimension(torch.zeros(2), values=100)
        tensor([8., 8.])
    """
    return 8 - nats / (values * math.log(2))


def particles(
    model: Program, guide: Program, video: Tensor, num_particles: int, chunk: int
) -> Iterator[Particles]:
    """Draws particles, `chunk` at a time; the arguments are `importance_weighted_evidence`'s."""
    check_video(video)
    for name, value in (("num_particles", num_particles), ("chunk", chunk)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is a whole number from 1, got {value!r}")
    check_same(model, guide)
    counts = [min(chunk, num_particles - start) for start in range(0, num_particles, chunk)]
    return (_drawn(model, guide, video, count) for count in counts)


@torch.no_grad()
def _drawn(model: Program, guide: Program, video: Tensor, count: int) -> Particles:
    """Particles side by side, in a plate of their own."""

    def side_by_side(program: Program) -> Program:
        def run(video: Tensor) -> Any:
            with pyro.plate("particles", count, dim=-2):
                return program(video)

        return run

    with memoised():
        q = poutine.trace(side_by_side(guide)).get_trace(video)
        p = poutine.trace(poutine.replay(side_by_side(model), trace=q)).get_trace(video)
        return _weighed(p, q, video.new_zeros(count, len(video)))


def _weighed(model: Trace, guide: Trace, zeros: Tensor) -> Particles:
    """log p(x, z) - log q(z | x), added up in double precision."""
    posterior, prior = dict(latents(guide)), dict(latents(model))
    if posterior.keys() != prior.keys():
        apart = sorted(posterior.keys() ^ prior.keys())
        raise ValueError(
            "model and guide do not have the same latent sites: only one of them draws "
            f"{', '.join(apart[:5])}"
        )
    seen = {
        name: node
        for name, node in model.nodes.items()
        if node["type"] == "sample" and node["is_observed"]
    }
    if not seen:
        raise ValueError("the model observes nothing, so there is no evidence")
    weight = zeros.double()
    for node in (*seen.values(), *prior.values()):
        weight = weight + _score(node)
    for node in posterior.values():
        weight = weight - _score(node)
    return Particles(
        weight,
        sum(node["fn"].event_shape.numel() for node in seen.values()),
        all(_continuous(node["fn"]) for node in seen.values()),
    )


def _score(node: dict[str, Any]) -> Tensor:
    score = node["fn"].log_prob(node["value"])
    return scale_and_mask(score, node["scale"], node["mask"])


def _continuous(likelihood: Any) -> bool:
    """Whether it is a density of pixel values."""
    return not (isinstance(likelihood, BernoulliFrames) or likelihood.support.is_discrete)
