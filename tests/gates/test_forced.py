"""Gates whose decisions are given."""

from typing import Any

import pytest
import torch
import torch.distributions as td

from pyrovp.gates import Forced, MixtureGate
from tests.gates.test_rules import CHANGE, LOGIT, OPEN, STATIC, N, Q
from tests.oracles.tiny import randn

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


def test_a_schedule_that_ends_too_early_is_refused() -> None:
    with pytest.raises(ValueError, match="given 2 decisions, but frame 2 is asked for"):
        Forced([True, False]).decides(2)
