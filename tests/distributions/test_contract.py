"""What every distribution promises: shapes, expansion, densities, gradients, KLs and draws.

A new distribution joins by adding itself to `CASES`, with torch's own as its reference.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import pyro
import pytest
import torch
import torch.distributions as td
from pyro import poutine
from torch import Tensor
from torch.distributions import kl_divergence

import pyrovp.distributions as ours
from pyrovp.distributions import (
    BernoulliFrames,
    Carried,
    Decided,
    DiagonalNormal,
    Held,
    IsotropicFrames,
    LaplaceFrames,
    LogitRelaxedBernoulli,
    NestedBernoulli,
    TemporalMixture,
)
from tests.oracles.tiny import close

Leaves = list[Tensor]
Place = tuple[int, ...]
MAP: Place = (2, 2)
"""Side of a map; a vector has no place."""


def randn(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def packed(*batch: int, seed: int, place: Place = ()) -> Tensor:
    """Means of either sign and stds between 0.3 and 2, for Z = 3, or maps of three channels."""
    dim = -1 - len(place)
    mean, raw = randn(*batch, 6, *place, seed=seed).split(3, dim)
    return torch.cat((mean, 0.3 + 1.7 * raw.sigmoid()), dim).requires_grad_()


def mask(*batch: int, seed: int) -> Tensor:
    """Both values, everywhere."""
    return randn(*batch, seed=seed) > 0


def normal(parameters: Tensor, events: int = 1) -> td.Distribution:
    mean, std = parameters.chunk(2, -events)
    return td.Independent(td.Normal(mean, std), events)


def where(e: Tensor, yes: Tensor, no: Tensor, events: int) -> Tensor:
    """A choice of beliefs, for all of an event alike."""
    return torch.where(e.reshape(*e.shape, *[1] * events), yes, no)


@dataclass(frozen=True)
class Case:
    """A distribution, from a batch shape, with what it should equal.

    Args:
        make: (distribution, leaves that its density depends on).
        reference: torch's density of the same thing, as a function of the value.
        event: Its event_shape.
        moving: Whether a reparametrised draw depends on the leaves.
    """

    make: Callable[..., tuple[Any, Leaves]]
    reference: Callable[[Any, Tensor], Tensor]
    event: tuple[int, ...]
    moving: bool = True


def diagonal(*batch: int, seed: int = 1, place: Place = ()) -> tuple[DiagonalNormal, Leaves]:
    p = packed(*batch, seed=seed, place=place)
    return DiagonalNormal(p, 1 + len(place)), [p]


def diagonal_score(d: DiagonalNormal, value: Tensor) -> Tensor:
    return normal(d.parameters, d.event_dim).log_prob(value)


def mixture(*batch: int, seed: int = 1, place: Place = ()) -> tuple[TemporalMixture, Leaves]:
    static, change = (packed(*batch, seed=seed + i, place=place) for i in range(2))
    e = mask(*batch, seed=seed)
    return TemporalMixture(e, static, change, 1 + len(place)), [static, change]


def mixture_score(d: TemporalMixture, value: Tensor) -> Tensor:
    change, static = (normal(part, d.event_dim).log_prob(value) for part in (d.change, d.static))
    return torch.where(d.e, change, static)


def held(*batch: int, seed: int = 1, open_seed: int = 7, place: Place = ()) -> tuple[Held, Leaves]:
    base, leaves = mixture(*batch, seed=seed, place=place)
    z_prev = randn(*batch, 3, *place, seed=seed + 2)
    return Held(base, z_prev, mask(*batch, seed=open_seed)), leaves


def held_score(d: Held, value: Tensor) -> Tensor:
    return torch.where(d.open, mixture_score(d.base, value), 0.0)


def frames(*batch: int, seed: int = 1) -> tuple[IsotropicFrames, Leaves]:
    mean = randn(*batch, 2, 1, 3, 2, seed=seed).requires_grad_()
    std = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    return IsotropicFrames(mean, std), [mean, std]


def frames_score(d: IsotropicFrames, value: Tensor) -> Tensor:
    return td.Independent(td.Normal(d.mean, d.std), 4).log_prob(value)


def laplace(*batch: int, seed: int = 1) -> tuple[LaplaceFrames, Leaves]:
    mean = randn(*batch, 2, 1, 3, 2, seed=seed).requires_grad_()
    return LaplaceFrames(mean, 0.7), [mean]


def laplace_score(d: LaplaceFrames, value: Tensor) -> Tensor:
    return td.Independent(td.Laplace(d.mean, d.scale), 4).log_prob(value)


def black_and_white(*batch: int, seed: int = 1) -> tuple[BernoulliFrames, Leaves]:
    raw = randn(*batch, 2, 1, 4, 6, seed=seed)
    # Neither nearly certain nor even: the spread of a variance estimate is estimated, too.
    logits = (raw.sign() * (0.5 + 1.5 * raw.sigmoid())).requires_grad_()
    return BernoulliFrames(logits), [logits]


def black_and_white_score(d: BernoulliFrames, value: Tensor) -> Tensor:
    return td.Independent(td.Bernoulli(logits=d.logits), 4).log_prob(value)


def bernoulli(*batch: int, seed: int = 1) -> tuple[NestedBernoulli, Leaves]:
    logit = randn(*batch, seed=seed).requires_grad_()
    return NestedBernoulli(logit), [logit]


def nested(
    *batch: int, seed: int = 1, open_seed: int = 7, score_closed: bool = False
) -> tuple[NestedBernoulli, Leaves]:
    logit = randn(*batch, seed=seed).requires_grad_()
    return NestedBernoulli(logit, mask(*batch, seed=open_seed), score_closed), [logit]


def nested_score(d: NestedBernoulli, value: Tensor) -> Tensor:
    opened = torch.ones_like(d.logit) if d.open is None else d.open.double()
    return td.Bernoulli(probs=d.logit.sigmoid() * opened).log_prob(value)


def decided(*batch: int, seed: int = 1) -> tuple[Decided, Leaves]:
    return Decided(mask(*batch, seed=seed).double()), []


def relaxed(*batch: int, seed: int = 1) -> tuple[LogitRelaxedBernoulli, Leaves]:
    logits = randn(*batch, seed=seed).requires_grad_()
    temperature = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    return LogitRelaxedBernoulli(temperature, logits), [temperature, logits]


def relaxed_score(d: LogitRelaxedBernoulli, value: Tensor) -> Tensor:
    theirs = td.relaxed_bernoulli.LogitRelaxedBernoulli(d.temperature, logits=d.logits)
    return theirs.log_prob(value)


def carried(*batch: int, seed: int = 1, place: Place = ()) -> tuple[Carried, Leaves]:
    value = randn(*batch, 3, *place, seed=seed).requires_grad_()
    return Carried(value, 1 + len(place)), [value]


def carried_score(d: Carried, value: Tensor) -> Tensor:
    return value.new_zeros(value.shape[: -d.event_dim])


CASES = {
    "DiagonalNormal": Case(diagonal, diagonal_score, (3,)),
    "DiagonalNormal, maps": Case(partial(diagonal, place=MAP), diagonal_score, (3, *MAP)),
    "TemporalMixture": Case(mixture, mixture_score, (3,)),
    "TemporalMixture, maps": Case(partial(mixture, place=MAP), mixture_score, (3, *MAP)),
    "Held": Case(held, held_score, (3,)),
    "Held, maps": Case(partial(held, place=MAP), held_score, (3, *MAP)),
    "IsotropicFrames": Case(frames, frames_score, (2, 1, 3, 2)),
    "LaplaceFrames": Case(laplace, laplace_score, (2, 1, 3, 2)),
    "BernoulliFrames": Case(black_and_white, black_and_white_score, (2, 1, 4, 6)),
    "NestedBernoulli": Case(bernoulli, nested_score, ()),
    "NestedBernoulli, partly closed": Case(nested, nested_score, ()),
    "Decided": Case(decided, lambda d, x: td.Bernoulli(probs=d.e).log_prob(x), (), moving=False),
    "LogitRelaxedBernoulli": Case(relaxed, relaxed_score, ()),
    "Carried": Case(carried, carried_score, (3,)),
    "Carried, maps": Case(partial(carried, place=MAP), carried_score, (3, *MAP)),
}
BATCHES = [(), (4,), (1,), (2, 4)]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_every_distribution_is_in_the_list() -> None:
    exported = {n for n in ours.__all__ if inspect.isclass(getattr(ours, n))}
    assert exported == {name.split(",")[0] for name in CASES}


@pytest.mark.parametrize(("batch", "sample"), list(product(BATCHES, [(), (3,), (3, 2)])))
def test_shapes(case: Case, batch: tuple[int, ...], sample: tuple[int, ...]) -> None:
    d, _ = case.make(*batch)
    assert (d.batch_shape, d.event_shape) == (batch, case.event)
    draws = [d.sample(sample), d.expand(batch)(sample)]
    draws += [d.rsample(sample)] if d.has_rsample else []
    for value in draws:
        assert value.shape == (*sample, *batch, *case.event)
        assert value.dtype is torch.float64
        assert d.log_prob(value).shape == (*sample, *batch)


def test_a_sample_has_no_graph(case: Case) -> None:
    d, _ = case.make(4)
    if not isinstance(d, Carried):  # its draw is the very value it was given
        assert not d.sample().requires_grad


@pytest.mark.parametrize("batch", BATCHES)
def test_density_is_torchs(case: Case, batch: tuple[int, ...]) -> None:
    d, _ = case.make(*batch)
    with torch.no_grad():
        value = d.sample((5,))
        close(d.log_prob(value), case.reference(d, value))


@pytest.mark.parametrize("wider", [(4,), (3, 4), (2, 3, 4)])
def test_expand_repeats_the_distribution(case: Case, wider: tuple[int, ...]) -> None:
    d, _ = case.make(4)
    wide = d.expand(wider)
    assert type(wide) is type(d)
    assert (wide.batch_shape, wide.event_shape) == (wider, case.event)
    value = wide.sample()
    assert value.shape == (*wider, *case.event)
    close(wide.log_prob(value), d.log_prob(value))
    if not isinstance(d, Decided | Carried):
        assert wide.has_rsample == d.has_rsample
    if not isinstance(d, Held | LogitRelaxedBernoulli):
        assert wide.mean.shape == (*wider, *case.event)


def test_expand_fills_a_dimension_of_one(case: Case) -> None:
    d, _ = case.make(1)
    wide = d.expand((4,))
    value = wide.sample()
    assert value.shape == (4, *case.event)
    close(wide.log_prob(value), case.reference(wide, value))


def test_expanded_draws_are_independent(case: Case) -> None:
    d, _ = case.make(1, seed=3)
    if isinstance(d, Decided | Carried):
        return  # nothing random is left
    if isinstance(d, Held | NestedBernoulli):
        d.open = None if d.open is None else torch.ones(1, dtype=torch.bool)
    values = d.expand((64,)).sample()
    assert len(values.unique(dim=0)) == (2 if isinstance(d, NestedBernoulli) else 64)


def test_density_gradients(case: Case) -> None:
    d, leaves = case.make(4)
    if isinstance(d, Decided | Carried):
        return  # their density is constant
    value = d.sample()

    def score(*given: Tensor) -> Tensor:
        return _rebuilt(d, given).log_prob(value)

    assert torch.autograd.gradcheck(score, tuple(leaves))


def test_draw_gradients(case: Case) -> None:
    """The gradient of a reparametrised draw, the noise being the same."""
    d, leaves = case.make(4)
    if not d.has_rsample or not case.moving:
        return

    def draw(*given: Tensor) -> Tensor:
        torch.manual_seed(0)
        return _rebuilt(d, given).rsample((2,))

    assert torch.autograd.gradcheck(draw, tuple(leaves))


def _rebuilt(d: Any, leaves: Any) -> Any:
    """The same distribution on other leaves."""
    if isinstance(d, DiagonalNormal):
        return DiagonalNormal(leaves[0], d.event_dim)
    if isinstance(d, TemporalMixture):
        return TemporalMixture(d.e, leaves[0], leaves[1], d.event_dim)
    if isinstance(d, Held):
        return Held(_rebuilt(d.base, leaves), d.held, d.open)
    if isinstance(d, IsotropicFrames):
        return IsotropicFrames(*leaves)
    if isinstance(d, LaplaceFrames):
        return LaplaceFrames(leaves[0], d.scale)
    if isinstance(d, BernoulliFrames):
        return BernoulliFrames(*leaves)
    if isinstance(d, NestedBernoulli):
        return NestedBernoulli(leaves[0], d.open, d.score_closed)
    if isinstance(d, LogitRelaxedBernoulli):
        return LogitRelaxedBernoulli(*leaves)
    assert isinstance(d, Carried)
    return Carried(leaves[0], d.event_dim)


N = 4000
# Draws are compared with moments in units of the standard error; under the normal approximation
# 6 of them is a false-alarm rate of 2e-9 for each number, 1e-7 for all numbers of a case.
SIGMAS = 6.0


def test_draws_have_the_stated_moments(case: Case) -> None:
    d, _ = case.make(4)
    if isinstance(d, Held | LogitRelaxedBernoulli):
        return  # these state none
    with torch.no_grad():
        draws, mean, variance = d.sample((N,)), d.mean, d.variance
        assert mean.shape == variance.shape == (4, *case.event)
        error = (variance / N).sqrt()
        assert ((draws.mean(0) - mean).abs() <= SIGMAS * error + 1e-12).all()
        # Of a variance estimate: sqrt((kurtosis - 1) / N) of it; normal 3, Bernoulli 1 / pq - 3.
        fourth = ((draws - mean) ** 4).mean(0)
        error = ((fourth - variance**2).clamp(min=0) / N).sqrt()
        spread = ((draws - mean) ** 2).mean(0)
        assert ((spread - variance).abs() <= SIGMAS * error + 1e-12).all()


def test_a_relaxed_draw_crosses_zero_as_often_as_the_gate_opens() -> None:
    d, _ = relaxed(4)
    with torch.no_grad():
        p = d.logits.sigmoid()
        share = (d.sample((N,)) > 0).double().mean(0)
    assert ((share - p).abs() <= SIGMAS * (p * (1 - p) / N).sqrt()).all()


@pytest.mark.parametrize("plates", [(4,), (3, 4)])
def test_pyro_takes_it_in_plates(case: Case, plates: tuple[int, ...]) -> None:
    d, _ = case.make(4)

    def program() -> Tensor:
        with pyro.plate("sequences", 4, dim=-1):
            if len(plates) == 1:
                return pyro.sample("x", d)
            with pyro.plate("particles", plates[0], dim=-2):
                return pyro.sample("x", d)

    trace = poutine.trace(program).get_trace()
    trace.compute_log_prob()
    node = trace.nodes["x"]
    assert node["value"].shape == (*plates, *case.event)
    assert node["log_prob"].shape == plates
    close(node["log_prob"], d.log_prob(node["value"]))


def _maps(q: Callable[..., Any], p: Callable[..., Any]) -> tuple[Any, Any]:
    return q(4, seed=1, place=MAP)[0], p(4, seed=20, place=MAP)[0]


# KLs: name -> (q, p), batches of 4
PAIRS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "normal, normal": lambda: (diagonal(4, seed=1)[0], diagonal(4, seed=20)[0]),
    "normal, mixture": lambda: (diagonal(4, seed=1)[0], mixture(4, seed=20)[0]),
    "mixture, mixture": lambda: (mixture(4, seed=1)[0], mixture(4, seed=20)[0]),
    "held, held": lambda: (held(4, seed=1)[0], held(4, seed=20)[0]),
    "bernoulli, bernoulli": lambda: (bernoulli(4, seed=1)[0], bernoulli(4, seed=20)[0]),
    "nested, nested": lambda: (nested(4, seed=1)[0], nested(4, seed=20)[0]),
    "nested, scored where closed": lambda: (
        nested(4, seed=1)[0],
        nested(4, seed=20, score_closed=True)[0],
    ),
    "both scored where closed": lambda: (
        nested(4, seed=1, score_closed=True)[0],
        nested(4, seed=20, score_closed=True)[0],
    ),
    "decided, bernoulli": lambda: (decided(4, seed=1)[0], bernoulli(4, seed=20)[0]),
    "decided, decided": lambda: (decided(4, seed=1)[0], decided(4, seed=1)[0]),
    "carried, carried": lambda: (carried(4, seed=1)[0], carried(4, seed=20)[0]),
}
PAIRS |= {
    f"maps: {name}": partial(_maps, *makes)
    for name, makes in {
        "normal, normal": (diagonal, diagonal),
        "normal, mixture": (diagonal, mixture),
        "mixture, mixture": (mixture, mixture),
        "held, held": (held, held),
        "carried, carried": (carried, carried),
    }.items()
}


@pytest.mark.parametrize("pair", PAIRS)
def test_kl_is_the_mean_log_ratio(pair: str) -> None:
    q, p = PAIRS[pair]()
    with torch.no_grad():
        kl = kl_divergence(q, p)
        value = q.sample((N,))
        ratio = q.log_prob(value) - p.log_prob(value)
        assert kl.shape == (4,)
        error = ratio.std(0) / math.sqrt(N)
        assert ((ratio.mean(0) - kl).abs() <= SIGMAS * error + 1e-12).all()


@pytest.mark.parametrize("place", [(), MAP])
def test_normal_kls_are_torchs_value_and_gradient(place: Place) -> None:
    q, p = packed(4, seed=1, place=place), packed(4, seed=20, place=place)
    change, e, events = packed(4, seed=30, place=place), mask(4, seed=3), 1 + len(place)
    mixed = where(e, change, p, events)

    def reference_kl(q: Tensor, p: Tensor) -> Tensor:
        return kl_divergence(normal(q, events), normal(p, events))

    belief = DiagonalNormal(q, events)
    static, moved = TemporalMixture(e, q, p, events), TemporalMixture(e, p, change, events)
    for actual, expected in (
        (kl_divergence(belief, DiagonalNormal(p, events)), reference_kl(q, p)),
        (ours.normal_kl(q, p, events), reference_kl(q, p)),
        (kl_divergence(belief, moved), reference_kl(q, mixed)),
        (kl_divergence(static, moved), reference_kl(where(e, p, q, events), mixed)),
    ):
        close(actual, expected)
        leaves = [q, p, change]
        for mine, theirs in zip(
            torch.autograd.grad(actual.sum(), leaves, retain_graph=True, allow_unused=True),
            torch.autograd.grad(expected.sum(), leaves, retain_graph=True, allow_unused=True),
            strict=True,
        ):
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                close(mine, theirs)


def test_bernoulli_kls_are_torchs_value_and_gradient() -> None:
    (q, (a,)), (p, (b,)) = bernoulli(4, seed=1), bernoulli(4, seed=20)
    actual = kl_divergence(q, p)
    expected = kl_divergence(td.Bernoulli(logits=a), td.Bernoulli(logits=b))
    close(actual, expected)
    for mine, theirs in zip(
        torch.autograd.grad(actual.sum(), [a, b]),
        torch.autograd.grad(expected.sum(), [a, b]),
        strict=True,
    ):
        close(mine, theirs)


@pytest.mark.parametrize("pair", ["normal, normal", "mixture, mixture", "held, held"])
@pytest.mark.parametrize("kind", ["", "maps: "])
def test_kl_of_a_belief_with_itself_is_exactly_zero(pair: str, kind: str) -> None:
    q, _ = PAIRS[kind + pair]()
    assert torch.equal(kl_divergence(q, q), torch.zeros(4, dtype=torch.float64))
