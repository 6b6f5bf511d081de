"""Schedules of β, and the handler that gives it to Pyro's own bounds."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from pyrovp.infer import Exponential, Linear, Tempered


@pytest.mark.parametrize(
    ("step", "beta"), [(0, 0.01), (1, 0.0199), (50, 0.505), (99, 0.9901), (100, 1.0), (10**6, 1.0)]
)
def test_a_straight_line_and_then_constant(step: int, beta: float) -> None:
    assert Linear(start=0.01, end=1.0, steps=100)(step) == pytest.approx(beta, abs=1e-15)


def test_by_default_there_is_no_annealing() -> None:
    assert [Linear()(step) for step in (0, 1, 1000)] == [1.0, 1.0, 1.0]


def test_it_may_go_down() -> None:
    assert Linear(start=4.0, end=2.0, steps=4)(1) == 3.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "0 or more steps, got -1"),
        ({"start": -0.1}, "not negative, got start -0.1"),
        ({"end": -1.0}, "not negative.*end -1.0"),
    ],
)
def test_refuses_what_is_no_schedule(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Linear(**arguments)


@pytest.mark.parametrize("step", [0, 1, 50, 100, 12_345, 10**6, 2**31 - 1])
def test_vtas_temperature(step: int) -> None:
    expected = 0.9 * 0.999 ** (step / 100) + 0.1
    found = Exponential(start=1.0, rate=0.999, floor=0.1, every=100)(step)
    assert found == pytest.approx(expected, rel=1e-12)


def test_an_exponential_loses_the_same_share_each_time() -> None:
    schedule = Exponential(start=8.0, rate=0.5)
    assert [schedule(step) for step in range(4)] == [8.0, 4.0, 2.0, 1.0]
    assert Exponential(start=3.0, rate=1.0)(1000) == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.0}, "rate lies above 0 and at most at 1, got 0.0"),
        ({"rate": 1.1}, "rate lies above 0 and at most at 1, got 1.1"),
        ({"rate": float("nan")}, "rate lies above 0"),
        ({"every": 0}, "a positive number of steps, got 0"),
        ({"floor": -0.1}, "start 1.0 and floor -0.1"),
        ({"floor": 1.5}, "falls from its start to its floor.* start 1.0 and floor 1.5"),
        ({"start": float("inf")}, "start inf"),
    ],
)
def test_refuses_what_is_no_exponential(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Exponential(**{"start": 1.0, "rate": 0.5} | arguments)


def program() -> None:
    with pyro.plate("sequences", 4, dim=-1):
        z = pyro.sample("z_1_0", dist.Normal(torch.zeros(4), 1.0))
        pyro.sample("z_2_0", dist.Normal(z, 1.0))
        pyro.sample("e_2_1", dist.Bernoulli(logits=z))
        pyro.sample("style", dist.Normal(z, 1.0))
        pyro.sample("z_1_1", dist.Normal(z, 1.0), obs=torch.zeros(4))
        pyro.sample("frames", dist.Normal(z, 1.0), obs=torch.zeros(4))


def scales(beta: float | torch.Tensor) -> dict[str, float]:
    trace = poutine.trace(Tempered(beta)(program)).get_trace()
    names = ("z_1_0", "z_2_0", "e_2_1", "style", "z_1_1", "frames")
    return {name: float(trace.nodes[name]["scale"]) for name in names}


@pytest.mark.parametrize("beta", [0.25, torch.tensor(0.25)])
def test_the_levels_latents_are_scaled_and_nothing_else(beta: float | torch.Tensor) -> None:
    assert scales(beta) == {
        "z_1_0": 0.25,
        "z_2_0": 0.25,
        "e_2_1": 0.25,
        "style": 1.0,
        "z_1_1": 1.0,  # observed
        "frames": 1.0,
    }


def test_each_level_may_have_its_own() -> None:
    found = scales(torch.tensor([0.5, 2.0]))
    assert (found["z_1_0"], found["z_2_0"], found["e_2_1"], found["style"]) == (0.5, 2.0, 2.0, 1.0)


def test_scales_multiply() -> None:
    trace = poutine.trace(poutine.scale(Tempered(0.5)(program), scale=3.0)).get_trace()
    assert trace.nodes["z_1_0"]["scale"] == 1.5
    assert trace.nodes["frames"]["scale"] == 3.0


@pytest.mark.parametrize("beta", [0, 0.0, -1.0])
def test_refuses_to_scale_by_nothing(beta: float) -> None:
    with pytest.raises(ValueError, match=f"positive with Pyro's own bounds, got {beta}.*above 0"):
        Tempered(beta)


def test_it_changes_densities_not_draws() -> None:
    torch.manual_seed(1)
    plain = poutine.trace(program).get_trace()
    torch.manual_seed(1)
    tempered = poutine.trace(Tempered(0.25)(program)).get_trace()
    assert torch.equal(plain.nodes["z_2_0"]["value"], tempered.nodes["z_2_0"]["value"])
