"""Gates: the guide's choice against KLs from torch, the prior against a GRU written out."""

from itertools import product
from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor, nn

from pyrovp.distributions import Decided, NestedBernoulli
from pyrovp.gates import Forced, GateCell, KLComparison, MixtureGate, Rule, VaDE
from pyrovp.lazy import force, stack
from tests.oracles.tiny import close, randn

N, G = 40, 3


def belief(*, seed: int) -> Tensor:
    mean, raw = randn(N, 4, seed=seed).chunk(2, -1)
    return torch.cat((mean, raw.exp()), -1)


Q, CHANGE, STATIC = belief(seed=1), belief(seed=2), belief(seed=3)
LOGIT, OPEN = randn(N, seed=4), randn(N, seed=5) > 0


def kl(q: Tensor, p: Tensor) -> Tensor:
    """By torch.distributions."""
    (q_mean, q_std), (p_mean, p_std) = q.chunk(2, -1), p.chunk(2, -1)
    return td.kl_divergence(td.Normal(q_mean, q_std), td.Normal(p_mean, p_std)).sum(-1)


@pytest.mark.parametrize("open", [None, OPEN])
def test_the_smaller_divergence_wins(open: Tensor | None) -> None:
    moved, stayed = kl(Q, CHANGE), kl(Q, STATIC)
    q = KLComparison().infer(Q, CHANGE, STATIC, LOGIT, open)
    e = q.sample()
    expected = (moved < stayed).double()
    assert 0 < expected.mean() < 1, "both happen"
    assert torch.equal(e, expected if open is None else expected * open)
    assert isinstance(q, Decided)
    assert torch.equal(q.log_prob(e), torch.zeros(N, dtype=torch.float64)), "with certainty"


def test_the_same_belief_in_both_components_stays() -> None:
    e = KLComparison().infer(Q, STATIC, STATIC, LOGIT, None).sample()
    assert not e.any(), "a strict comparison"


def test_a_belief_like_the_prediction_changes_and_one_like_the_past_stays() -> None:
    rule = KLComparison()
    assert rule.infer(CHANGE, CHANGE, STATIC, LOGIT, None).sample().all()
    assert not rule.infer(STATIC, CHANGE, STATIC, LOGIT, None).sample().any()


@pytest.mark.parametrize("open", [None, OPEN])
def test_vade_log_odds_are_eq_34(open: Tensor | None) -> None:
    """q(e = 0) = σ(KL[q ‖ change] - KL[q ‖ static] + logit p(e = 0))."""
    q = VaDE().infer(Q, CHANGE, STATIC, LOGIT, open)
    assert isinstance(q, NestedBernoulli)
    stays = torch.sigmoid(kl(Q, CHANGE) - kl(Q, STATIC) - LOGIT)
    changes = 1 - stays
    close(q.mean, changes if open is None else changes * open)


@pytest.mark.parametrize("rule", [KLComparison(), VaDE()])
def test_a_comparison_carries_no_gradient(rule: Rule) -> None:
    q, change, static = (x.clone().requires_grad_() for x in (Q, CHANGE, STATIC))
    logit = LOGIT.clone().requires_grad_()
    e: Any = rule.infer(q, change, static, logit, OPEN)
    assert not e.mean.requires_grad
    assert not e.sample().requires_grad
    assert not e.log_prob(e.sample()).requires_grad


@pytest.mark.parametrize("rule", [KLComparison(), VaDE()])
def test_particles_are_compared_each(rule: Rule) -> None:
    """The static belief of frame 0 has no particles' dimension yet."""
    many = torch.stack([Q, belief(seed=8)])
    q: Any = rule.infer(many, CHANGE.expand(2, N, 4), STATIC, LOGIT.expand(2, N), OPEN)
    assert q.mean.shape == (2, N)
    for i in range(2):
        one: Any = rule.infer(many[i], CHANGE, STATIC, LOGIT, OPEN)
        close(q.mean[i], one.mean)


# The gate's own network


def cell(**options: Any) -> GateCell:
    return MixtureGate(size=G, **options).cell((2, 3), 4).double()


def literal(gate: Any, inputs: list[list[Tensor]]) -> list[Tensor]:
    """Log-odds of each tick, by torch's GRU cell."""
    gru = nn.GRUCell(sum(gate.cell.gates.sizes), G).double()
    with torch.no_grad():
        gru.weight_ih.copy_(torch.cat(list(gate.cell.gates.weights), 1))
        gru.bias_ih.copy_(gate.cell.gates.bias)
        gru.weight_hh.copy_(gate.cell.recurrent.weight)
        gru.bias_hh.copy_(gate.cell.recurrent.bias)
    g, logits = torch.zeros(N, G, dtype=torch.float64), []
    for parts in inputs:
        g = gru(torch.cat(parts, -1), g)
        logits.append((g * gate.output.weight).sum(-1) + gate.output.bias)
    return logits


def ticks(gate: GateCell, count: int) -> tuple[list[Any], list[list[Tensor]]]:
    reads_state = gate.gate.inputs == "state"  # type: ignore[union-attr]
    g, logits, read = gate.initial(N, LOGIT), [], []
    for t in range(count):
        known, z = (randn(N, 2, seed=t), randn(N, 3, seed=t + 20)), randn(N, 4, seed=t + 40)
        g, logit = gate.tick(g, t, known, z)
        logits.append(logit)
        read.append([z] if reads_state else [*known])
    return logits, read


@pytest.mark.parametrize(
    ("inputs", "order"), list(product(["memory", "state"], ["in time", "last first", "stacked"]))
)
def test_log_odds_come_of_a_gru_that_ticks_at_every_tick(inputs: str, order: str) -> None:
    gate = cell(inputs=inputs)
    logits, read = ticks(gate, 5)
    expected = literal(gate, read)
    if order == "stacked":
        actual = list(stack(logits[1:]))  # frame 0 has a tick but no choice
    else:
        seen = range(1, 5) if order == "in time" else range(4, 0, -1)
        forced = {t: force(logits[t]) for t in seen}
        actual = [forced[t] for t in range(1, 5)]
    assert logits[0].shape == (N,)
    close(torch.stack(actual), torch.stack(expected[1:]))


def test_gates_inputs_decide_its_size() -> None:
    assert cell(inputs="memory").cell.gates.sizes == (2, 3)  # type: ignore[union-attr]
    assert cell(inputs="state").cell.gates.sizes == (4,)  # type: ignore[union-attr]
    assert cell().initial(7, LOGIT).shape == (7, G)


@pytest.mark.parametrize(("score", "closed"), [("open", False), ("all", True)])
def test_the_prior_is_nested(score: str, closed: bool) -> None:
    prior = cell(score=score).prior(LOGIT, OPEN)
    assert isinstance(prior, NestedBernoulli)
    close(prior.mean, LOGIT.sigmoid() * OPEN)
    zeros = torch.zeros(N, dtype=torch.float64)
    assert bool(prior.log_prob(zeros)[~OPEN].any()) == closed


def test_a_gate_infers_by_its_rule() -> None:
    assert isinstance(cell().infer(Q, CHANGE, STATIC, LOGIT, OPEN), Decided)
    soft = cell(rule=VaDE()).infer(Q, CHANGE, STATIC, LOGIT, OPEN)
    assert isinstance(soft, NestedBernoulli)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": "z"}, "inputs is one of memory, state, got 'z'"),
        ({"score": "closed"}, "score is one of open, all, got 'closed'"),
        ({"static_sample": "hold"}, "static_sample is one of copy, redraw, got 'hold'"),
        ({"size": 0}, "size is at least 1, got 0"),
    ],
)
def test_refuses_unknown_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureGate(**options)


# Gates whose decisions are given

SCHEDULE = [True, False, True, True, False]


@pytest.mark.parametrize("schedule", [SCHEDULE, lambda t: SCHEDULE[t]])
@pytest.mark.parametrize("open", [None, OPEN])
def test_a_forced_gate_follows_its_schedule_where_it_may(schedule: Any, open: Any) -> None:
    gate = Forced(schedule).cell((2, 3), 4)
    assert not list(gate.parameters())
    g = gate.initial(N, LOGIT)
    for t, changes in enumerate(SCHEDULE):
        g, logit = gate.tick(g, t, (), randn(N, 4))
        prior, posterior = gate.prior(logit, open), gate.infer(Q, CHANGE, STATIC, logit, open)
        expected = torch.full((N,), float(changes), dtype=torch.float64)
        expected = expected if open is None else expected * open
        for d in (prior, posterior):
            assert torch.equal(d.sample(), expected)
            assert torch.equal(d.log_prob(expected), torch.zeros(N, dtype=torch.float64))
        assert td.kl_divergence(posterior, prior).tolist() == [0.0] * N, "and costs nothing"


@pytest.mark.parametrize("kind", [MixtureGate, lambda: Forced(SCHEDULE)])
def test_what_staying_means_has_the_same_defaults_for_every_gate(kind: Any) -> None:
    gate = kind()
    assert (gate.fresh_static, gate.static_sample, gate.block_memory, gate.detach_static) == (
        True,
        "copy",
        True,
        False,
    )
