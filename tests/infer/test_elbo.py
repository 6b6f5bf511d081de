"""The bound against Pyro's own, against finite differences, and what it must leave alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import ELBO, Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine import Trace
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from pyrovp import sites
from pyrovp.distributions import DiagonalNormal
from pyrovp.gates import Forced, MixtureGate, VaDE
from pyrovp.infer import HierarchyELBO, Tempered, level_kls
from tests.oracles.tiny import close
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed

Pair = tuple[Any, Any]


def gated(**options: Any) -> Callable[[], Pair]:
    return lambda: tiny_dlh(gate=MixtureGate(size=3, **options))


def blind(make: Callable[[], Pair], levels: set[int]) -> Callable[[], Pair]:
    def made() -> Pair:
        model, guide = make()
        return model, partial(guide, blind=levels)

    return made


# Programs whose KLs are analytic site by site, so that TraceMeanField_ELBO is the same number
ANALYTIC: dict[str, Callable[[], Pair]] = {
    "cwvae": tiny_cwvae,
    "cwvae, factor 3": lambda: tiny_cwvae(factor=3),
    "rssm": lambda: tiny_cwvae(levels=1),
    "cwvae, learned std": lambda: tiny_cwvae(std=None),
    "cwvae, blind": blind(tiny_cwvae, {2}),
    "dlh": tiny_dlh,
    "dlh, one level": lambda: tiny_dlh(levels=1),
    "dlh, two levels": lambda: tiny_dlh(levels=2),
    "dlh, blind": blind(tiny_dlh, {1}),
    "dlh, redraw": gated(static_sample="redraw"),
    "dlh, beliefs kept": gated(fresh_static=False),
    "dlh, beliefs kept, redraw": gated(fresh_static=False, static_sample="redraw"),
    "dlh, memory moves on": gated(block_memory=False),
    "dlh, gate reads the state": gated(inputs="state"),
    "dlh, Eq. 8c as written": gated(score="all"),
    "dlh, detached": gated(detach_static=True),
    "dlh, forced": lambda: tiny_dlh(gate=Forced(lambda t: t % 3 > 0)),
    "mixed": tiny_mixed,
}
# Those of them that are distributions (Eq. 8c as written is not normalised), and programs whose
# gates are soft, are the same bound in mean
IN_MEAN: dict[str, Callable[[], Pair]] = {
    "cwvae": tiny_cwvae,
    "dlh": tiny_dlh,
    "dlh, redraw": gated(static_sample="redraw"),
    "dlh, beliefs kept": gated(fresh_static=False),
    "dlh, blind": blind(tiny_dlh, {2}),
    "VaDE": gated(rule=VaDE()),
    "VaDE, two levels": lambda: tiny_dlh(levels=2, rule=VaDE()),
    "VaDE, redraw": gated(rule=VaDE(), static_sample="redraw"),
    "VaDE, beliefs kept": gated(rule=VaDE(), fresh_static=False),
    "VaDE, beliefs kept, redraw": gated(rule=VaDE(), fresh_static=False, static_sample="redraw"),
    "VaDE, blind": blind(gated(rule=VaDE()), {3}),
    "mixed": tiny_mixed,
    "mixed, VaDE": lambda: tiny_mixed(rule=VaDE()),
}


def parameters(*programs: Any) -> list[nn.Parameter]:
    modules = [getattr(program, "func", program) for program in programs]
    return list({id(p): p for module in modules for p in module.parameters()}.values())


def evaluate(elbo: ELBO, pair: Pair, video: Tensor, seed: int = 0) -> tuple[Tensor, list[Any]]:
    """The loss and its gradients."""
    torch.manual_seed(seed)
    loss = elbo.differentiable_loss(*pair, video)
    gradients = torch.autograd.grad(loss, parameters(*pair), allow_unused=True)
    return loss.detach(), list(gradients)


def close_gradients(actual: list[Any], expected: list[Any], rtol: float, atol: float) -> None:
    assert any(g is not None and g.any() for g in expected)
    for mine, theirs in zip(actual, expected, strict=True):
        # One program may reach a parameter with a gradient of zeros, the other not at all.
        mine = torch.zeros(()).double() if mine is None else mine
        theirs = torch.zeros(()).double() if theirs is None else theirs
        mine, theirs = torch.broadcast_tensors(mine, theirs)
        close(mine, theirs, rtol=rtol, atol=atol)


def test_refuses_the_guide_of_another_model() -> None:
    model, _ = tiny_cwvae()
    _, guide = tiny_cwvae()
    with pytest.raises(ValueError, match="belongs to another model.*share one hierarchy"):
        HierarchyELBO()(model, guide)(clip(4))


def test_the_systems_gates_are_alive() -> None:
    """Else the comparisons below would say little; `tiny_dlh` scales its weights for this."""
    elbo = HierarchyELBO(num_particles=50, vectorize_particles=True)
    for rule in (None, VaDE()):
        gates = elbo.bound(*tiny_dlh(rule=rule), clip(7)).gates
        assert 0.3 < gates[2].mean() < 0.8 and 0.1 < gates[3].mean() < 0.5


# Against Pyro's own bounds


@pytest.mark.parametrize(
    ("system", "seed"),
    [("cwvae", 1), ("cwvae", 2), ("dlh", 1), ("dlh", 2), *((system, 0) for system in ANALYTIC)],
)
def test_equals_trace_mean_field(system: str, seed: int) -> None:
    pair, video = ANALYTIC[system](), clip(7)
    loss, gradients = evaluate(HierarchyELBO(), pair, video, seed)
    expected, theirs = evaluate(TraceMeanField_ELBO(), pair, video, seed)
    close(loss, expected, rtol=1e-12, atol=0)
    # Gradients are sums of terms of both signs, of up to the loss's size.
    close_gradients(gradients, theirs, rtol=1e-8, atol=1e-9)


def in_particles(pair: Pair, video: Tensor, count: int) -> tuple[Trace, Trace]:
    """Traces of model and guide in a plate of particles, their log-densities computed."""

    def parallel(program: Any) -> Callable[[], Any]:
        def run() -> Any:
            with pyro.plate("particles", count, dim=-2):
                return program(video)

        return run

    with torch.no_grad():
        q = poutine.trace(parallel(pair[1])).get_trace()
        p = poutine.trace(poutine.replay(parallel(pair[0]), trace=q)).get_trace()
        q.compute_log_prob()
        p.compute_log_prob()
    return p, q


def log_ratio(p: Trace, q: Trace) -> Tensor:
    """log q(latents) - log p(latents) of each particle and sequence: Trace_ELBO's."""
    nodes = [
        (q.nodes[name]["log_prob"], p.nodes[name]["log_prob"])
        for name in q.stochastic_nodes
        if sites.parse(name)
    ]
    return sum(ours - theirs for ours, theirs in nodes)


def analytic(p: Trace, q: Trace) -> Tensor:
    """The KLs that HierarchyELBO takes, of each particle and sequence."""
    return sum(ticks.kl.sum(0) for groups in level_kls(p, q).values() for ticks in groups)  # type: ignore[return-value]


def mean_in_errors(differences: Tensor) -> float:
    return float(differences.mean() / (differences.std() / differences.numel() ** 0.5))


@pytest.mark.parametrize("system", ["cwvae", "VaDE"])
def test_what_the_comparison_in_mean_compares_is_the_two_bounds(system: str) -> None:
    pair, video = IN_MEAN[system](), clip(3)
    torch.manual_seed(0)
    p, q = in_particles(pair, video, 4)
    likelihood = p.nodes["frames"]["log_prob"]
    for elbo, cost in (
        (HierarchyELBO(num_particles=4, vectorize_particles=True), analytic(p, q)),
        (
            Trace_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1),
            log_ratio(p, q),
        ),
    ):
        torch.manual_seed(0)
        loss = elbo.loss(*pair, video)
        assert loss == pytest.approx(float((cost - likelihood).sum() / 4), rel=1e-12)


@pytest.mark.parametrize("system", IN_MEAN)
def test_equals_trace_elbo_in_mean(system: str) -> None:
    """Same draws, paired: the closed forms minus Pyro's log-ratios have mean 0.

    The mean of 2000 differences is nearly normal, and a normal number is beyond 6 standard errors
    with a probability of 2e-9.
    """
    p, q = in_particles(IN_MEAN[system](), clip(4), 1000)
    differences = analytic(p, q) - log_ratio(p, q)
    assert differences.std() > 0.1, "the two are not the same estimator"
    assert abs(mean_in_errors(differences)) < 6


@pytest.mark.parametrize("system", [name for name in IN_MEAN if name.startswith("VaDE")])
def test_a_soft_gates_average_is_the_mean_over_its_draws(system: str) -> None:
    """Against the KLs given the drawn e, which have far less noise than log-ratios."""
    p, q = in_particles(IN_MEAN[system](), clip(4), 1000)
    averaged = sum(ticks.kl.sum(0) for ticks in level_kls(p, q)["z", 2])
    given = sum(
        kl_divergence(q.nodes[f"z_2_{t}"]["fn"], p.nodes[f"z_2_{t}"]["fn"]) for t in range(4)
    )
    differences = torch.as_tensor(averaged - given)
    if system == "VaDE, two levels":
        assert differences.std() > 0.01, "an average"
    # Where it is not an average, only rounding is left.
    error = differences.std() / differences.numel() ** 0.5 + 1e-10
    assert abs(differences.mean()) < 6 * error, "a false-alarm rate of 2e-9, as above"


@pytest.mark.parametrize("system", ["cwvae", "dlh"])
def test_equals_trace_mean_field_under_handlers(system: str) -> None:
    model, guide = ANALYTIC[system]()
    mask = torch.tensor([True, False])
    pair = tuple(
        poutine.mask(poutine.scale(Tempered(0.7)(program), scale=2.0), mask=mask)
        for program in (model, guide)
    )
    torch.manual_seed(0)
    loss = HierarchyELBO().differentiable_loss(*pair, clip(5))
    torch.manual_seed(0)
    close(loss, TraceMeanField_ELBO().differentiable_loss(*pair, clip(5)), rtol=1e-12, atol=0)


def test_subsampled_plates_scale_the_bound() -> None:
    """A user's own program over a data set of 10 sequences of which 4 are seen."""

    def program(mean: float, observe: bool) -> None:
        with pyro.plate("sequences", 10, subsample_size=4, dim=-1):
            given = torch.tensor([mean, 1.0], dtype=torch.float64).expand(4, 2)
            z = pyro.sample("z_1_0", DiagonalNormal(given))
            if observe:
                likelihood = dist.Normal(z, 1.0).to_event(1)
                pyro.sample("frames", likelihood, obs=torch.zeros(4, 1).double())

    losses = []
    for elbo in (HierarchyELBO(), TraceMeanField_ELBO()):
        torch.manual_seed(0)
        losses.append(elbo.loss(lambda: program(0.0, True), lambda: program(1.0, False)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


# Gradients


@pytest.mark.parametrize("system", ["cwvae", "cwvae, learned std", "dlh", "dlh, beliefs kept"])
def test_gradients_are_slopes(system: str) -> None:
    """Central differences along random directions in the space of all parameters.

    The noise is fixed; gates are piecewise constant, and 1e-6 is too small a step to flip one.
    """
    pair, video = ANALYTIC[system](), clip(5)
    leaves = parameters(*pair)
    _, gradients = evaluate(HierarchyELBO(), pair, video)
    step = 1e-6
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        ways = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in leaves]
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                for p, way in zip(leaves, ways, strict=True):
                    p.add_(way, alpha=sign * step)
            values.append(evaluate(HierarchyELBO(), pair, video)[0])
            with torch.no_grad():
                for p, way in zip(leaves, ways, strict=True):
                    p.add_(way, alpha=-sign * step)
        pieces = [(g * way).sum() for g, way in zip(gradients, ways, strict=True) if g is not None]
        slope = torch.stack(pieces).sum()
        # Rounding: 1e-16 of a loss of 1e4, over the step: 1e-6, against slopes of some 1e3.
        close((values[0] - values[1]) / (2 * step), slope, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["encoder", "dynamics.0", "dynamics.1", "gates", "ladder", "heads"]
)
def test_gradients_of_single_weights(name: str) -> None:
    pair, video = tiny_dlh(levels=2), clip(4)
    named = {n: p for module in pair for n, p in module.named_parameters() if name in n}
    _, gradients = evaluate(HierarchyELBO(), pair, video)
    by_id = {id(p): g for p, g in zip(parameters(*pair), gradients, strict=True)}
    weight = max(named.values(), key=lambda p: float(by_id[id(p)].abs().max()))
    i = int(by_id[id(weight)].abs().argmax())
    flat, step, values = weight.data.view(-1), 1e-6, []
    for sign in (1, -2):
        flat[i] += sign * step
        values.append(evaluate(HierarchyELBO(), pair, video)[0])
    close(
        (values[0] - values[1]) / (2 * step),
        by_id[id(weight)].flatten()[i],
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_detached_static_prior_stops_the_gradient_at_the_older_belief() -> None:
    """One level stays at t = 1: with the option, its KL pulls at the newer belief only."""

    def pull(detach: bool) -> Tensor:
        gate = Forced(lambda t: False, detach_static=detach)
        model, guide = tiny_dlh(levels=2, gate=gate)
        q = poutine.trace(guide).get_trace(clip(2))
        older = q.nodes["belief_2_0"]["value"]
        p = poutine.trace(poutine.replay(model, trace=q)).get_trace(clip(2))
        groups = level_kls(p, q)["z", 2]
        (kl,) = [ticks.kl for ticks in groups if ticks.t == [1]]
        # The other ways in (z and the memory it feeds) do not enter this KL.
        return torch.autograd.grad(kl.sum(), older)[0]

    assert not pull(detach=True).any()
    assert pull(detach=False).any()


# β and free nats


def test_beta_weighs_the_kls() -> None:
    pair, video = tiny_dlh(), clip(5)
    torch.manual_seed(0)
    one = HierarchyELBO().bound(*pair, video)
    totals = {key: kl.sum() for key, kl in one.kl.items()}
    for beta, weights in (
        (0.3, [0.3, 0.3, 0.3]),
        (0.0, [0.0, 0.0, 0.0]),
        (torch.tensor(0.3, dtype=torch.float64), [0.3, 0.3, 0.3]),
        (torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64), [0.1, 0.5, 2.0]),
    ):
        torch.manual_seed(0)
        bound = HierarchyELBO(beta=beta).bound(*pair, video)
        kls = [weights[level - 1] * total for (_, level), total in totals.items()]
        close(bound.loss, torch.stack(kls).sum() - one.likelihood.sum(), rtol=1e-12)
        for key, kl in bound.kl.items():
            assert torch.equal(kl, one.kl[key]), "the parts are without β"


def test_beta_may_change_in_place() -> None:
    pair, beta = tiny_cwvae(levels=2), torch.tensor(1.0).double()
    elbo = HierarchyELBO(beta=beta)
    torch.manual_seed(0)
    whole = elbo.loss(*pair, clip(3))
    beta.fill_(0.0)
    torch.manual_seed(0)
    assert elbo.loss(*pair, clip(3)) < whole


@pytest.mark.parametrize(
    "free", [0.5, 3.0, torch.tensor(0.5).double(), torch.tensor([0.0, 2.0, 0.7]).double()]
)
def test_free_nats_are_for_each_level_tick_and_sequence(free: float | Tensor) -> None:
    pair, video = tiny_dlh(), clip(5)
    torch.manual_seed(0)
    bound = HierarchyELBO(free_nats=free, beta=0.5).bound(*pair, video)
    torch.manual_seed(0)
    elbo = HierarchyELBO()
    p, q = elbo._get_trace(*pair, (video,), {})
    total = -bound.likelihood.sum()
    each = free.tolist() if isinstance(free, Tensor) else free
    clamped = 0
    for (kind, level), groups in level_kls(p, q).items():
        least = each[level - 1] if isinstance(each, list) else each
        for ticks in groups:
            for kl in ticks.kl.flatten():
                total = total + 0.5 * (kl if kl > least else least)
                clamped += bool(kl < least)
        close(bound.kl[kind, level], sum(ticks.kl.sum(0) for ticks in groups))  # type: ignore[arg-type]
    assert clamped > 0
    close(bound.loss, total, rtol=1e-12)


def test_there_is_no_gradient_below_the_free_nats() -> None:
    pair, video = tiny_cwvae(levels=2), clip(3)
    _, gradients = evaluate(HierarchyELBO(free_nats=1e6), pair, video)
    _, frames_only = evaluate(HierarchyELBO(beta=0.0), pair, video)
    close_gradients(gradients, frames_only, rtol=1e-12, atol=1e-12)


# Particles


@pytest.mark.parametrize("system", ["cwvae", "rssm", "dlh", "dlh, one level"])
def test_vectorised_particles_are_the_loops(system: str) -> None:
    """The same shapes from both, and the mean of one-particle bounds."""
    pair, video = ANALYTIC[system](), clip(4)
    loop = HierarchyELBO(num_particles=3).bound(*pair, video)
    parallel = HierarchyELBO(num_particles=3, vectorize_particles=True).bound(*pair, video)
    for bound in (loop, parallel):
        assert bound.loss.shape == ()
        assert bound.likelihood.shape == (3, 2)
        assert {kl.shape for kl in bound.kl.values()} == {(3, 2)}
        assert {e.shape for e in bound.gates.values()} <= {(3, 3, 2)}
        total = -bound.likelihood + sum(bound.kl.values())
        close(bound.loss, total.sum() / 3, rtol=1e-12)
        assert (bound.likelihood[0] != bound.likelihood[1]).all(), "each particle has its draws"
    assert loop.kl.keys() == parallel.kl.keys() and loop.gates.keys() == parallel.gates.keys()


def test_looped_particles_are_averaged() -> None:
    pair, video = tiny_dlh(), clip(4)
    torch.manual_seed(0)
    singles = [HierarchyELBO().loss(*pair, video) for _ in range(3)]
    torch.manual_seed(0)
    together = HierarchyELBO(num_particles=3).loss(*pair, video)
    assert together == pytest.approx(sum(singles) / 3, rel=1e-12)


@pytest.mark.parametrize("system", ["cwvae", "dlh", "dlh, beliefs kept"])
def test_vectorised_particles_equal_trace_mean_fields(system: str) -> None:
    pair, video = ANALYTIC[system](), clip(4)
    options = {"num_particles": 3, "vectorize_particles": True}
    loss, gradients = evaluate(HierarchyELBO(**options), pair, video)  # type: ignore[arg-type]
    theirs = TraceMeanField_ELBO(max_plate_nesting=1, **options)
    expected, their_gradients = evaluate(theirs, pair, video)
    close(loss, expected, rtol=1e-12, atol=0)
    close_gradients(gradients, their_gradients, rtol=1e-8, atol=1e-9)


def test_the_parts_have_documented_shapes() -> None:
    bound = HierarchyELBO().bound(*tiny_dlh(), clip(5))
    assert bound.loss.shape == () and bound.likelihood.shape == (2,)
    assert set(bound.kl) == {("z", 1), ("z", 2), ("z", 3), ("e", 2), ("e", 3)}
    assert {kl.shape for kl in bound.kl.values()} == {(2,)}
    assert {level: e.shape for level, e in bound.gates.items()} == {2: (4, 2), 3: (4, 2)}
    assert set(torch.cat(list(bound.gates.values())).unique().tolist()) <= {0.0, 1.0}
    assert (bound.gates[3] <= bound.gates[2]).all(), "nested"
    assert HierarchyELBO().bound(*tiny_cwvae(), clip(5)).gates == {}


# Memo


@pytest.mark.parametrize("system", ANALYTIC)
def test_the_memo_changes_nothing(system: str) -> None:
    pair, video = ANALYTIC[system](), clip(5)
    loss, gradients = evaluate(HierarchyELBO(memo=True), pair, video)
    plain, plain_gradients = evaluate(HierarchyELBO(memo=False), pair, video)
    assert torch.equal(loss, plain), "to the bit"
    close_gradients(gradients, plain_gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("system", "frames", "once", "plainly"),
    [
        ("cwvae", 7, 7 + 4 + 2, 2 * 13),
        ("dlh", 7, 6 + 6 + 6, 2 * 18),
        ("dlh, beliefs kept", 7, 18, 36),
        # Level 3's gate compares with the context of the tick before: the same cell call unless
        # level 4 draws anew, at t = 4 and 8. Level 4's comparison is always its tick's.
        ("mixed", 9, 9 + 5 + (5 + 2) + 3, (9 + 5 + 9 + 5) + (9 + 5 + 5 + 3)),
    ],
)
def test_the_memo_saves_the_models_transitions(
    system: str, frames: int, once: int, plainly: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = ANALYTIC[system]()
    calls = [0]

    def counted(step: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            return step(*args, **kwargs)

        return call

    for dynamics in pair[0].hierarchy.dynamics:
        monkeypatch.setattr(dynamics.cell, "step", counted(dynamics.cell.step))
    for memo, expected in ((True, once), (False, plainly)):
        calls[0] = 0
        HierarchyELBO(memo=memo).loss(*pair, clip(frames))
        assert calls[0] == expected


# The ELBO interface


def test_loss_and_grads_add_to_the_gradients() -> None:
    pair, video = tiny_dlh(), clip(4)
    loss, gradients = evaluate(HierarchyELBO(), pair, video)
    for _ in range(2):
        torch.manual_seed(0)
        value = HierarchyELBO().loss_and_grads(*pair, video)
        assert isinstance(value, float) and value == float(loss)
    close_gradients(
        [p.grad for p in parameters(*pair)],
        [None if g is None else 2 * g for g in gradients],
        rtol=1e-12,
        atol=1e-12,
    )


def test_loss_is_a_number_without_a_graph() -> None:
    pair, video = tiny_dlh(), clip(4)
    torch.manual_seed(0)
    value = HierarchyELBO().loss(*pair, video)
    assert isinstance(value, float) and value == float(evaluate(HierarchyELBO(), pair, video)[0])
    assert all(p.grad is None for p in parameters(*pair))


def test_bound_to_model_and_guide_it_is_a_module() -> None:
    pair, video = tiny_dlh(), clip(4)
    module = HierarchyELBO()(*pair)
    assert isinstance(module, nn.Module)
    assert {id(p) for p in module.parameters()} == {id(p) for p in parameters(*pair)}
    torch.manual_seed(0)
    loss = module(video)
    torch.manual_seed(0)
    assert torch.equal(loss, HierarchyELBO().differentiable_loss(*pair, video))


def test_pyros_parameter_store_stays_empty() -> None:
    pyro.clear_param_store()
    for make in (tiny_cwvae, tiny_dlh):
        HierarchyELBO().loss_and_grads(*make(), clip(3))
    assert not dict(pyro.get_param_store().items())


def test_a_model_that_observes_nothing_is_refused() -> None:
    def program() -> None:
        pyro.sample("z_1_0", DiagonalNormal(torch.ones(4)))

    with pytest.raises(ValueError, match="observes nothing"):
        HierarchyELBO().loss(program, program)


def test_keyword_arguments_reach_both_programs() -> None:
    model, guide = tiny_cwvae(levels=2)
    seen = []

    def recorded(program: Any) -> Any:
        def run(video: Tensor, *, flag: int) -> Any:
            seen.append(flag)
            return program(video)

        return run

    HierarchyELBO().loss(recorded(model), recorded(guide), clip(3), flag=7)
    assert seen == [7, 7]


# Nothing is read back


class HostReadError(RuntimeError):
    """A tensor's value was asked for."""


class NoReads(TorchDispatchMode):
    """Raises where an operation needs a value on the host: on a GPU it would wait there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "is_all_true")):
            raise HostReadError(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def no_host_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(self: Tensor, *_: Any, **__: Any) -> Any:
        raise HostReadError

    names = ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__")
    with monkeypatch.context() as patched, NoReads():
        for name in names:
            patched.setattr(Tensor, name, refuse)
        yield


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.item(),
        lambda x: bool(x > 0),
        lambda x: float(x),
        lambda x: x.tolist(),
        lambda x: x.nonzero(),
        lambda x: torch.equal(x, x) if x > 0 else None,
        lambda x: dist.Delta(x),  # checks its arguments
    ],
)
def test_the_check_notices_reads(
    read: Callable[[Tensor], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.ones(())
    with pytest.raises(HostReadError), no_host_reads(monkeypatch):
        read(x)


@pytest.mark.parametrize("system", [*ANALYTIC, "VaDE, two levels", "VaDE"])
def test_no_tensor_is_read_back_to_the_host(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, video = (ANALYTIC | IN_MEAN)[system](), clip(3)
    beta = torch.tensor(0.3).double()
    elbo = HierarchyELBO(beta=beta, free_nats=torch.tensor(0.1).double())
    with no_host_reads(monkeypatch):
        loss = elbo.bound(*pair, video).loss
        loss.backward()
