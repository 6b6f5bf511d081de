"""What holds in every hierarchy, whatever it is composed of."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor

from pyrovp import (
    Every,
    Filtering,
    Forced,
    Gaussian,
    Hierarchy,
    HierarchyELBO,
    LatentDynamics,
    Level,
    MixtureGate,
    Parent,
    TopDown,
    VaDE,
)
from pyrovp.cells import GRU
from pyrovp.emission import GaussianFrames
from pyrovp.gates import Gate, Rule
from pyrovp.infer.kl import latents, level_kls
from pyrovp.programs import PLATE
from pyrovp.state import State
from pyrovp.wiring import Dense, Wiring
from tests.hierarchies import BATCH, Case, build, cases, profile, video_of
from tests.toys.handlers import SiteNoise, check_particles, disagreement, run
from tests.toys.hvrnn import Decoder, Encoder


def walk(model: LatentDynamics[Hierarchy], frames: int, q: Any = None) -> list[State]:
    """The states after each frame, replayed against a guide's trace or drawn."""
    states = []
    with poutine.replay(trace=q) if q is not None else SiteNoise():
        with pyro.plate(PLATE, BATCH, dim=-1):
            state = model.hierarchy.initial(BATCH)
            for t in range(frames):
                state = model.hierarchy.step(t, state)
                states.append(state)
    return states


def ticks(case: Case) -> Iterator[tuple[int, int]]:
    """(index of a level, frame) of all ticks."""
    for n, period in enumerate(case.periods):
        yield from ((n, t) for t in range(0, case.frames, period))


def gated_ticks(case: Case) -> Iterator[tuple[int, int, Gate]]:
    """(index, frame, gate) of the ticks at which a gate decides."""
    for n, t in ticks(case):
        gate = case.gates[n]
        if gate is not None and t > 0:
            yield n, t, gate


def kept(case: Case, states: list[State], n: int, t: int) -> Tensor:
    """Where a level stands still at a tick, bool [B]."""
    gate = case.gates[n]
    if gate is None or t == 0:
        return torch.zeros(BATCH, dtype=torch.bool)
    moving = states[t].levels[n - 1].e if gate.fresh_static else states[t].levels[n].e
    return torch.zeros(BATCH, dtype=torch.bool) if moving is None else ~moving


@profile(30)
@given(cases())
def test_trains_one_step(case: Case) -> None:
    """Finite loss and gradients, moving weights; the same without memo and with Pyro's bound."""
    (model, guide), video = build(case), video_of(case)
    bounds: list[Any] = [HierarchyELBO(), HierarchyELBO(memo=False)]
    if not any(isinstance(getattr(gate, "rule", None), VaDE) for gate in case.gates):
        bounds.append(TraceMeanField_ELBO())  # a soft gate is not reparametrised
    losses = []
    for bound in bounds:
        with SiteNoise():
            losses.append(bound.differentiable_loss(model, guide, video))
    loss = losses[0]
    assert bool(loss.isfinite())
    assert torch.equal(loss, losses[1])
    torch.testing.assert_close(loss, losses[-1], rtol=1e-12, atol=1e-9)
    loss.backward()
    gradients = {name: p.grad for name, p in guide.named_parameters()}
    assert all(g is None or bool(g.isfinite().all()) for g in gradients.values())
    before = {name: p.detach().clone() for name, p in guide.named_parameters()}
    torch.optim.SGD(guide.parameters(), lr=1e-3).step()
    moved = {name for name, p in guide.named_parameters() if not torch.equal(p, before[name])}
    for part in ("hierarchy.encoder", "hierarchy.dynamics.0", "hierarchy.emission", "heads.0"):
        assert any(name.startswith(part) for name in moved), f"{part} did not move"
    assert not pyro.get_param_store()


@profile(30)
@given(cases())
def test_programs_have_the_sites_of_their_clocks_and_gates(case: Case) -> None:
    (model, guide), video = build(case), video_of(case)
    q = run(guide, video)
    p = run(model, video, given=q)
    expected = {f"z_{n + 1}_{t}" for n, t in ticks(case)}
    expected |= {f"e_{n + 1}_{t}" for n, t, _ in gated_ticks(case)}
    beliefs = {f"belief_{n + 1}_{t}" for n, t in ticks(case) if case.gates[n] is not None}
    for trace in (q, p):
        assert {name for name, _ in latents(trace)} == expected
        assert set(trace.stochastic_nodes) - {PLATE} == expected | beliefs


@profile(40)
@given(cases(), st.booleans())
def test_gates_nest_and_closed_levels_stand_still(case: Case, inferred: bool) -> None:
    """Bit for bit, under the guide's inference and in the model's own draws."""
    model, guide = build(case)
    states = walk(model, case.frames, run(guide, video_of(case)) if inferred else None)
    for t in range(1, case.frames):
        for n, period in enumerate(case.periods):
            now, before, gate = states[t].levels[n], states[t - 1].levels[n], case.gates[n]
            if t % period:
                assert now is before
                continue
            closed = kept(case, states, n, t)
            assert torch.equal((now.z == before.z).all(-1), closed & copies(gate))
            if gate is None:
                assert now.e is None and now.belief is None
                continue
            assert now.e is not None and now.belief is not None and before.belief is not None
            below = states[t].levels[n - 1].e
            if below is not None:
                assert not bool((now.e & ~below).any())
            if isinstance(gate, Forced):
                wanted = torch.full_like(now.e, gate.decides(t))
                assert torch.equal(now.e, wanted if below is None else wanted & below)
            assert torch.equal(now.belief[closed], before.belief[closed])
            if gate.block_memory:
                # The memory that a state joins moves at its tick, the other at the next one.
                still = ~now.e if isinstance(case.wiring, Parent) else before.e
                if still is not None:
                    still = still if isinstance(case.wiring, Parent) else ~still
                    assert torch.equal((now.h == before.h).all(-1), still)
            else:
                assert not bool((now.h == before.h).all(-1).any())


def copies(gate: Gate | None) -> bool:
    return gate is not None and gate.static_sample == "copy"


@profile(40)
@given(cases())
def test_kl_is_not_negative_and_zero_where_closed(case: Case) -> None:
    (model, guide), video = build(case), video_of(case)
    q = run(guide, video)
    kls = level_kls(run(model, video, given=q), q)
    states = walk(model, case.frames, q)
    counted = 0
    for (kind, level), groups in kls.items():
        n = level - 1
        for group in groups:
            for t, kl in zip(group.t, group.kl, strict=True):
                counted += 1
                assert kl.shape == (BATCH,)
                assert bool(kl.isfinite().all()) and bool((kl >= -1e-12).all())
                if kind == "z":
                    assert bool((kl[kept(case, states, n, t)] == 0).all())
                elif (below := states[t].levels[n - 1].e) is not None:
                    if getattr(case.gates[n], "score", "open") == "open":
                        assert bool((kl[~below] == 0).all())
    assert counted == len(list(ticks(case))) + len(list(gated_ticks(case)))


def test_generated_gates_do_open_and_close() -> None:
    """Both decisions under each rule, inferred and drawn; else the tests above check little."""
    for rule in (MixtureGate(size=3), MixtureGate(size=3, rule=VaDE())):
        for wiring in (Parent(), TopDown(4)):
            case = Case((1, 1, 1), (None, rule, rule), wiring, 9)
            model, guide = build(case)
            for q in (run(guide, video_of(case)), None):
                states = walk(model, case.frames, q)
                for n in (1, 2):
                    rate = torch.stack([s.levels[n].e for s in states[1:]]).double().mean()  # type: ignore[misc]
                    assert 0.05 < float(rate) < 0.95, (rule, wiring, q is None, n, rate)


@profile(30)
@given(cases(), st.data())
def test_blind_levels_follow_their_prior_and_those_below_infer_given_them(
    case: Case, data: st.DataObject
) -> None:
    (model, guide), video = build(case), video_of(case)
    levels = range(1, len(case.periods) + 1)
    blind = data.draw(st.sets(st.sampled_from(levels), min_size=1), label="blind")
    q = run(partial(guide, blind=blind), video)
    kls = level_kls(run(model, video, given=q), q)
    for (kind, level), groups in kls.items():
        for group in groups:
            if level in blind:
                assert bool((group.kl == 0).all()), f"{kind}_{level}"
            elif kind == "z":
                assert bool((group.kl[group.t.index(0)] > 0).all()) if 0 in group.t else True
    for level in blind - {1}:
        lowest = q.nodes["z_1_0"]["fn"].parameters.sum()
        (gradient,) = torch.autograd.grad(
            lowest, q.nodes[f"z_{level}_0"]["value"], retain_graph=True
        )
        assert bool((gradient != 0).any())


@profile(20)
@given(cases(), st.integers(0, 8))
def test_a_context_that_goes_on_leaves_cut_windows_to_the_prior(case: Case, more: int) -> None:
    """Every tick whose window is whole infers, every other one costs nothing."""
    (model, guide), video = build(case), video_of(case)
    q = run(partial(guide, ends=False), video)
    for (kind, level), groups in level_kls(run(model, video, given=q), q).items():
        period = case.periods[level - 1]
        for group in groups:
            for t, kl in zip(group.t, group.kl, strict=True):
                if t + period > case.frames:
                    assert bool((kl == 0).all())
                elif t == 0 and kind == "z":
                    assert bool((kl > 0).all())


KEEPING = MixtureGate(size=3, fresh_static=False, block_memory=False)


@profile(25)
@given(cases())
# Beliefs that lack the particles' dimension beside gates that have it, as many as there are ticks.
@example(Case((1, 1), (None, KEEPING), TopDown(4), 3))
def test_particles_in_parallel_are_particles_one_by_one(case: Case) -> None:
    model, guide = build(case)
    check_particles(model, guide, video_of(case), particles=2)


@pytest.mark.parametrize("wiring", [Parent(), TopDown(4)], ids=["parent", "top-down"])
def test_bound_equals_trace_elbo_in_mean(wiring: Wiring) -> None:
    """Soft gates under hard ones under a clock. False alarm: once in 40 000 seeds."""
    soft = MixtureGate(size=3, rule=VaDE())
    case = Case((1, 1, 1, 2), (None, soft, KEEPING, None), wiring, 4)
    model, guide = build(case)
    assert abs(disagreement(model, guide, video_of(case), repeats=20)) < 5.5


@profile(30)
@given(cases(lowest_gate=2), st.data())
def test_a_gate_forced_open_is_no_gate(case: Case, data: st.DataObject) -> None:
    """On level 2, and above it up to the first gate: a forced gate nests like any other."""
    assume(len(case.periods) > 1)
    first = next((n for n, gate in enumerate(case.gates) if gate is not None), len(case.gates))
    top = data.draw(st.integers(1, first - 1), label="highest forced level")
    always = Forced(
        lambda t: True,
        fresh_static=data.draw(st.booleans()),
        static_sample=data.draw(st.sampled_from(["copy", "redraw"])),
        block_memory=data.draw(st.booleans()),
    )
    forced = [always if 1 <= n <= top else gate for n, gate in enumerate(case.gates)]
    found = []
    for version in (case, replace(case, gates=tuple(forced))):
        model, guide = build(version)
        with SiteNoise():
            loss = HierarchyELBO().differentiable_loss(model, guide, video_of(case))
        all_gradients = torch.autograd.grad(loss, list(guide.parameters()), allow_unused=True)
        found.append((loss, [g for g in all_gradients if g is not None]))
    (loss, gradients), (expected, expected_gradients) = found
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0.0)
    for a, b in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def hierarchy_of(levels: list[Level], wiring: Wiring = Parent()) -> Hierarchy:  # noqa: B008
    return Hierarchy(levels, wiring, Encoder(4), GaussianFrames(Decoder, 0.5))


def level_of(period: int = 1, gate: Gate | None = None) -> Level:
    return Level(clock=Every(period), memory=GRU(3), state=Gaussian(2), gate=gate)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "at least one level"),
        (
            [level_of(4), level_of(6)],
            r"level 2 ticks every 6 frames, which is not a multiple of level 1's 4; .* "
            r"Use 4, 8, 12, \.\.\.",
        ),
        (
            [level_of(1), level_of(4), level_of(2)],
            r"level 3 ticks every 2 frames, .* level 2's 4; .* Use 4, 8, 12, \.\.\.",
        ),
        ([level_of(gate=MixtureGate())], "level 1 has a gate, .* give the gate to level 2"),
        ([level_of(gate=Forced(lambda t: True)), level_of()], "level 1 has a gate"),
    ],
    ids=["empty", "not nested", "slower below", "gate on level 1", "forced gate on level 1"],
)
@pytest.mark.parametrize("wiring", [Parent(), TopDown(4)], ids=["parent", "top-down"])
def test_what_does_not_fit_is_refused_at_construction(
    levels: list[Level], message: str, wiring: Wiring
) -> None:
    with pytest.raises(ValueError, match=message):
        hierarchy_of(levels, wiring)


def test_a_width_is_a_whole_number() -> None:
    for width in (64.0, "64"):
        with pytest.raises(ValueError, match=f"TopDown's width must be .* got {width!r}"):
            TopDown(width)  # type: ignore[arg-type]


class Coin(Rule):
    """A rule that forgets to say what it knows as a distribution."""

    def infer(self, q: Tensor, change: Tensor, static: Tensor, logit: Any, open: Any) -> Any:
        return torch.ones(q.shape[:-1])


def test_a_rule_returns_a_distribution() -> None:
    gated = level_of(gate=MixtureGate(rule=Coin(), size=2))
    guide = Filtering(hierarchy_of([level_of(), gated], TopDown(4)))
    with pytest.raises(ValueError, match=r"Coin.infer must return .*Decided\(e\), got a Tensor"):
        guide(torch.zeros(2, 3, 1, 2, 2))


@pytest.mark.parametrize(
    ("part", "example"),
    [
        ({"clock": 4}, r"clock is an object such as Every\(4\), got 4"),
        ({"memory": 200}, r"memory .* GRU\(200\), got 200"),
        ({"state": 20}, r"state .* Gaussian\(20\), got 20"),
        ({"gate": VaDE()}, r"gate .* MixtureGate\(\), or None for no gate, got VaDE"),
    ],
)
def test_a_level_is_made_of_parts(part: dict[str, Any], example: str) -> None:
    with pytest.raises(ValueError, match=example):
        replace(level_of(), **part)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"levels": level_of()}, r"a list \[Level\(.*\], the fastest first, got Level"),
        ({"levels": [level_of(), GRU(3)]}, r"a list .*, got \[Level.*GRU"),
        ({"wiring": Parent}, r"wiring is an object such as Parent\(\), .*got <class"),
        ({"emission": Decoder(3)}, r"emission .* GaussianFrames\(\.\.\.\), got Decoder"),
        ({"given": 2.0}, "whole one from 0, got 2.0"),
        ({"given": -1}, "whole one from 0, got -1"),
    ],
    ids=["a level", "another kind", "a class", "a module", "a fraction", "negative"],
)
def test_a_hierarchy_is_made_of_parts(part: dict[str, Any], message: str) -> None:
    parts: dict[str, Any] = {"levels": [level_of()], "wiring": Parent(), "encoder": Encoder(4)}
    with pytest.raises(ValueError, match=message):
        Hierarchy(**parts | {"emission": GaussianFrames(Decoder, 0.5)} | part)


@pytest.mark.parametrize("reach", [0, 1.5, "all"])
def test_a_reach_counts_levels(reach: Any) -> None:
    with pytest.raises(ValueError, match=f"or all of them by reach=None, got reach={reach!r}"):
        Dense(reach)


def test_a_model_refuses_frames_that_it_does_not_make() -> None:
    model = LatentDynamics(hierarchy_of([level_of()]))
    with pytest.raises(ValueError, match=r"frames are \[3, 2, 2\].* this model's are \[1, 2, 2\]"):
        model(torch.zeros(2, 3, 3, 2, 2))  # three channels would broadcast against one


@pytest.mark.parametrize("size", [{"length": 0}, {"batch": 0}, {"length": -1}])
def test_a_model_draws_at_least_one_frame(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="length and batch are at least 1"):
        LatentDynamics(hierarchy_of([level_of()]))(**{"length": 2, "batch": 2} | size)


@pytest.mark.parametrize("blind", [{0}, {3}, {1, 7}, 1, "1", [None, 1]])
def test_blind_levels_that_are_not_there_are_refused(blind: Any) -> None:
    guide = Filtering(hierarchy_of([level_of(), level_of()]))
    with pytest.raises(ValueError, match="blind levels .* are not all within 1 to 2"):
        guide(torch.zeros(2, 3, 1, 2, 2), blind=blind)
