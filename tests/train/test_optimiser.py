"""Adam as set, its learning rate at every step, and runs that are continued during warm-up."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyrovp.runs.settings import OptimiserSettings
from pyrovp.train import Cadence, Checkpoints, Log, Update, Warmup, adam, fit, read_rows
from pyrovp.train.optimiser import current_rate, set_rate
from tests.train.toy import ToyBound, ToyObjective, toy_videos


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 2e-5), (1, 2.2e-5), (35, 9e-5), (69, 1.58e-4), (70, 1.6e-4), (999, 1.6e-4)],
)
def test_a_straight_line_and_then_constant(step: int, rate: float) -> None:
    assert Warmup(lr=1.6e-4, start=2e-5, steps=70)(step) == pytest.approx(rate, rel=1e-12)


def test_by_default_there_is_no_warmup() -> None:
    assert [Warmup(lr=0.3)(step) for step in (0, 1, 1000)] == [0.3, 0.3, 0.3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": 0.1, "steps": -1}, "0 or more steps, got -1"),
        ({"lr": -0.1}, "a rate is not negative, got .* lr -0.1"),
        ({"lr": 0.1, "start": -0.1}, "a rate is not negative, got start -0.1"),
        ({"lr": 0.1, "start": 0.2, "steps": 5}, "a warm-up rises, got start 0.2 and lr 0.1"),
    ],
)
def test_refuses_what_is_no_warmup(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Warmup(**arguments)


GRADIENTS = (torch.tensor([3.0, -1.0]), torch.tensor([0.5, -2.0]), torch.tensor([0.1, 4.0]))


def stepped(**options: Any) -> Tensor:
    """Where (1, 2) goes in three steps of Adam with these gradients."""
    parameter = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimizer = adam([parameter], lr=0.1, eps=1e-8, **options)
    for gradient in GRADIENTS:
        parameter.grad = gradient.double()
        optimizer.step()
    return parameter.detach()


def by_hand(betas: tuple[float, float], decay: float = 0.0, amsgrad: bool = False) -> Tensor:
    """Adam (Kingma and Ba, 2015, Algorithm 1), with the decay added to the gradient."""
    theta = torch.tensor([1.0, 2.0], dtype=torch.float64)
    m = v = largest = torch.zeros(2, dtype=torch.float64)
    for t, gradient in enumerate(GRADIENTS, 1):
        g = gradient.double() + decay * theta
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        largest = torch.maximum(largest, v)
        second = (largest if amsgrad else v) / (1 - betas[1] ** t)
        theta = theta - 0.1 * m / (1 - betas[0] ** t) / (second.sqrt() + 1e-8)
    return theta


def test_adams_own_defaults() -> None:
    torch.testing.assert_close(stepped(), by_hand((0.9, 0.999)))


def test_adam_with_hvrnns_moments_and_decay() -> None:
    expected = by_hand((0.5, 0.9), decay=0.3)
    torch.testing.assert_close(stepped(betas=[0.5, 0.9], weight_decay=0.3), expected)
    parameter = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    decoupled = torch.optim.AdamW([parameter], lr=0.1, betas=(0.5, 0.9), weight_decay=0.3)
    for gradient in GRADIENTS:
        parameter.grad = gradient.double()
        decoupled.step()
    assert (parameter.detach() - expected).abs().max() > 1e-3, "not AdamW's"


def test_amsgrad() -> None:
    expected = by_hand((0.5, 0.9), amsgrad=True)
    torch.testing.assert_close(stepped(betas=[0.5, 0.9], amsgrad=True), expected)
    assert (expected - by_hand((0.5, 0.9))).abs().max() > 1e-3


@pytest.mark.parametrize("tensor", [False, True])
def test_setting_the_rate(tensor: bool) -> None:
    """A rate that is a tensor stays the same tensor: a captured step reads it."""
    given: Any = torch.tensor(0.5) if tensor else 0.5
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.SGD([{"params": [p]} for p in parameters], lr=given)
    set_rate(optimizer, 0.25)
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.25, 0.25]
    assert current_rate(optimizer) == 0.25
    if tensor:
        assert optimizer.param_groups[0]["lr"] is given


class Slope(ToyObjective):
    """A loss whose gradient is 1 everywhere."""

    def forward(self, video: Tensor) -> ToyBound:
        return ToyBound(sum((p.sum() for p in self.parameters()), torch.zeros(())), {})


def test_every_step_has_its_rate(tmp_path: Path) -> None:
    """SGD down a slope of 1 goes the sum of the rates; the log shows that of the last step."""
    objective = Slope()
    start = objective.linear.bias.detach().clone()
    fit(
        Update(objective, torch.optim.SGD(objective.parameters(), lr=7.0)),
        toy_videos,
        6,
        rate=Warmup(lr=0.4, start=0.1, steps=3),
        cadence=Cadence(1, 100, 100),
        log=Log(tmp_path, bar=False),
    )
    rates = [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]
    torch.testing.assert_close(start - objective.linear.bias.detach(), torch.full((4,), 1.8))
    shown = [row["lr"] for row in read_rows(tmp_path / "metrics.jsonl")]
    assert shown == pytest.approx(rates, rel=1e-12)


SETTINGS = OptimiserSettings(
    lr=0.05, betas=[0.5, 0.9], weight_decay=1e-2, amsgrad=True, warmup_steps=25, warmup_from=1e-3
)


def train(folder: Path, steps: int) -> dict[str, Tensor]:
    """The weights after so many steps, going on from what lies in the folder."""
    objective = ToyObjective()
    random.seed(3)
    np.random.seed(3)
    fit(
        Update(objective, adam(objective.parameters(), **SETTINGS.adam())),
        toy_videos,
        steps,
        rate=Warmup(SETTINGS.lr, SETTINGS.warmup_from, SETTINGS.warmup_steps),
        cadence=Cadence(5, 100, 100),
        checkpoints=Checkpoints(folder / "checkpoint", "toy"),
        log=Log(folder, bar=False),
    )
    return objective.state_dict()


@pytest.mark.parametrize("breaks", [(7,), (24, 25, 26), (1, 33)])
def test_a_run_that_is_continued_is_the_same_to_the_bit(
    tmp_path: Path, breaks: tuple[int, ...]
) -> None:
    for name in ("straight", "broken"):
        (tmp_path / name).mkdir()
    expected = train(tmp_path / "straight", 40)
    for steps in breaks:
        train(tmp_path / "broken", steps)
    found = train(tmp_path / "broken", 40)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    rates = [
        [row["lr"] for row in read_rows(tmp_path / name / "metrics.jsonl")]
        for name in ("straight", "broken")
    ]
    assert rates[0] == rates[1] and rates[0][0] < rates[0][-1] == 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": [0.9]}, r"optimiser.betas are two numbers .* got \[0.9\]"),
        ({"betas": [0.9, 0.99, 0.999]}, "optimiser.betas are two numbers"),
        ({"betas": [0.9, 1.0]}, "at least 0 and below 1"),
        ({"betas": [-0.1, 0.9]}, "at least 0 and below 1"),
        ({"betas": [0.9, float("nan")]}, "at least 0 and below 1"),
        ({"weight_decay": -1e-4}, "optimiser.weight_decay must be a number of at least 0, got"),
        ({"weight_decay": float("inf")}, "optimiser.weight_decay"),
        ({"warmup_steps": -1}, "optimiser.warmup_steps must be .* at least 0, got -1"),
        ({"warmup_from": -1e-5}, "optimiser.warmup_from must be a number of at least 0"),
        (
            {"lr": 1e-4, "warmup_steps": 9, "warmup_from": 2e-4},
            "optimiser.warmup_from=0.0002.* above optimiser.lr=0.0001; lower it, or set",
        ),
    ],
)
def test_refused_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimiserSettings(**options)


def test_a_start_without_a_warmup_is_no_contradiction() -> None:
    assert OptimiserSettings(lr=1e-4, warmup_from=2e-4).warmup_steps == 0
