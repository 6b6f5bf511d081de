"""The mixture gate: its prior against a GRU written out, and its options."""

import weakref
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.distributions import Decided, NestedBernoulli
from pyrovp.gates import GateCell, MixtureGate, VaDE
from pyrovp.lazy import force, stack
from tests.gates.test_rules import CHANGE, LOGIT, OPEN, STATIC, N, Q
from tests.oracles.tiny import close, randn

G = 3


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


@pytest.mark.parametrize("some", [[1, 3], [2], [3, 1], [1, 2, 4]])
def test_ticks_that_do_not_follow_one_another_are_stacked_too(some: list[int]) -> None:
    gate = cell()
    logits, read = ticks(gate, 5)
    together = stack([logits[t] for t in some])
    close(together, torch.stack([force(logits[t]) for t in some]))
    expected = literal(gate, read)
    close(together, torch.stack([expected[t] for t in some]))


def test_a_sampler_that_forces_a_tick_leaves_its_gradient() -> None:
    gate = cell()
    logits, _ = ticks(gate, 3)
    prior = gate.prior(logits[2], None)
    e = prior.sample()
    assert not e.requires_grad
    score: Tensor = prior.log_prob(e).sum()
    gradients = torch.autograd.grad(score, list(gate.parameters()))
    assert all(gradient.any() for gradient in gradients)


def test_what_has_been_computed_lets_go_of_its_past() -> None:
    """Else the memory of a prediction would grow with its horizon."""
    logits, _ = ticks(cell(), 5)
    first = weakref.ref(logits[0])
    force(logits[-1])
    del logits[:-1]
    assert first() is None


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
        ({"size": 0}, "size must be a whole number of at least 1, got 0"),
        ({"size": 4.5}, "MixtureGate: size must be a whole number of at least 1, got 4.5"),
    ],
)
def test_refuses_unknown_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureGate(**options)


def test_a_rule_is_an_object() -> None:
    with pytest.raises(ValueError, match="rule is an object, .* got 'vade'"):
        MixtureGate(rule="vade")  # type: ignore[arg-type]
