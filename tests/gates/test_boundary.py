"""The boundary gate: torch's density, a hard value with a soft gradient, a falling temperature."""

from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from pyrovp import GRU, Gaussian, Hierarchy, Level, Parent
from pyrovp.emission import GaussianFrames
from pyrovp.gates import Boundary, BoundaryCell, SegmentPrior
from pyrovp.infer import Exponential
from pyrovp.memo import memoised
from tests.oracles.tiny import close, randn
from tests.toys.hvrnn import Decoder, Encoder

B, F = 6, 3


def cell(temperature: Any = lambda step: 0.5, **options: Any) -> BoundaryCell:
    torch.manual_seed(0)
    made = Boundary(temperature, **options).build(F).double()
    made.set_step(0)
    return made


def drawn(gate: BoundaryCell, log_odds: Tensor) -> tuple[Tensor, Any]:
    """(m, the site) at frame 7 of level 2."""

    def program() -> Tensor:
        with pyro.plate("sequences", log_odds.shape[-1], dim=-1):
            return gate.draw(2, 7, log_odds)

    trace = poutine.trace(program).get_trace()
    return trace.nodes["_RETURN"]["value"], trace.nodes["elogit_2_7"]


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_density_is_torchs_in_logit_space(temperature: float) -> None:
    gate, log_odds = cell(lambda step: temperature), randn(B)
    _, node = drawn(gate, log_odds)
    torchs = LogitRelaxedBernoulli(gate.temperature, logits=log_odds)
    close(node["fn"].log_prob(node["value"]), torchs.log_prob(node["value"]))


def test_value_is_hard_and_its_gradient_soft() -> None:
    gate, log_odds = cell(), (3 * randn(B)).requires_grad_()
    m, node = drawn(gate, log_odds)
    y = node["value"]
    assert torch.equal(m, (y > 0).double())
    assert 0 < m.mean() < 1
    (gradient,) = torch.autograd.grad(m.sum(), log_odds)
    close(gradient, (y.sigmoid() * (1 - y.sigmoid()) / 0.5).detach())


def test_boundaries_come_as_often_as_the_log_odds_say() -> None:
    """At any temperature; within 5 standard errors of 20 000 draws."""
    gate, log_odds = cell(lambda step: 0.1), torch.full((20_000,), 0.7, dtype=torch.float64)
    p = log_odds[0].sigmoid().item()
    assert abs(drawn(gate, log_odds)[0].mean().item() - p) < 5 * (p * (1 - p) / 20_000) ** 0.5


def test_a_replayed_gate_is_the_very_same_tensor() -> None:
    """So that whatever is made of it is found in the memo."""
    gate, log_odds = cell(), randn(B)
    with memoised(), pyro.plate("sequences", B, dim=-1):
        trace = poutine.trace(lambda: gate.draw(2, 7, log_odds)).get_trace()
        again = poutine.replay(lambda: gate.draw(2, 7, 1 - log_odds), trace=trace)()
    assert trace.nodes["_RETURN"]["value"] is again


def test_temperature_moves_in_place() -> None:
    schedule = Exponential(start=1.0, rate=0.999, floor=0.1, every=100)
    gate = cell(schedule)
    before = gate.temperature
    for step in (0, 100, 250_000):
        gate.set_step(step)
        assert gate.temperature is before
        assert before.item() == pytest.approx(0.9 * 0.999 ** (step / 100) + 0.1, rel=1e-12)
    assert "temperature" not in gate.state_dict(), "it is the step's, not the weights'"


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="a temperature is a positive number"):
        Boundary(lambda step: bad).build(F)
    with pytest.raises(ValueError, match="is a schedule, a function of the training step"):
        Boundary(0.5)  # type: ignore[arg-type]


def test_prior_log_odds_are_the_first_output_less_the_second() -> None:
    gate, o = cell(segments=SegmentPrior(number=1)), randn(4, B, F)
    begin, stay = (o @ gate.prior.weight.T + gate.prior.bias).unbind(-1)
    close(gate.log_odds(o, None), begin - stay)
    counts = gate.count(gate.initial(B, o), torch.ones(B).double())
    assert bool((gate.log_odds(o, counts) < -13).all())


@pytest.mark.parametrize("training", [True, False])
def test_segments_are_limited_in_training_alone(training: bool) -> None:
    gate, like = cell(segments=SegmentPrior()), torch.zeros(B)
    gate.train(training)
    assert (gate.initial(B, like) is not None) is training
    assert gate.count(None, like) is None
    assert cell().initial(B, like) is None, "without a segment prior never"


def test_a_hierarchy_of_clocks_refuses_it() -> None:
    level = Level(memory=GRU(2), state=Gaussian(2), gate=Boundary(lambda step: 0.5))
    with pytest.raises(ValueError, match=r"state space of its own, pyrovp\.models\.vta"):
        Hierarchy(
            [Level(memory=GRU(2), state=Gaussian(2)), level],
            Parent(),
            Encoder(3),
            GaussianFrames(Decoder, 0.5),
        )
