"""The objective: normalised as asked, β on its schedule, parts that add up."""

from itertools import product
from typing import Any, Literal

import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import nn

from pyrovp.infer import HierarchyELBO, Linear, Objective
from tests.oracles.tiny import close
from tests.systems import clip, tiny_cwvae, tiny_dlh

B, T = 2, 5


def objective(*, system: str = "dlh", **options: Any) -> Objective:
    model, guide = tiny_dlh() if system == "dlh" else tiny_cwvae()
    return Objective(model, guide, **options).double()


def evaluate(given: Objective) -> Any:
    torch.manual_seed(0)
    return given(clip(T))


@pytest.mark.parametrize(("system", "per"), list(product(["cwvae", "dlh"], ["frame", "sequence"])))
def test_the_loss_is_a_mean(system: str, per: Literal["frame", "sequence"]) -> None:
    mine = objective(system=system, per=per)
    torch.manual_seed(0)
    total = HierarchyELBO().loss(mine.model, mine.guide, clip(T))
    expected = total / (B * T if per == "frame" else B)
    assert float(evaluate(mine).loss.detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("per", ["frame", "sequence"])
def test_the_parts_add_up_to_the_loss(per: Literal["frame", "sequence"], beta: float) -> None:
    loss, parts = evaluate(objective(per=per, beta=Linear(end=beta)))
    kls = [value for name, value in parts.items() if name[:2] in ("z_", "e_")]
    per_sequence = beta * torch.stack(kls).sum() - parts["frames"]
    # β passes through a buffer that float32 may have rounded.
    close(loss * (T if per == "frame" else 1), per_sequence, rtol=1e-7)


def test_the_parts_are_named_detached_scalars() -> None:
    parts = evaluate(objective()).parts
    assert set(parts) == {
        "frames",
        "z_1",
        "z_2",
        "z_3",
        "e_2",
        "e_3",
        "change_2",
        "change_3",
    }
    assert all(value.shape == () and not value.requires_grad for value in parts.values())
    assert set(evaluate(objective(system="cwvae")).parts) == {"frames", "z_1", "z_2", "z_3"}


def test_the_parts_are_means_over_sequences() -> None:
    mine = objective()
    torch.manual_seed(0)
    bound = HierarchyELBO().bound(mine.model, mine.guide, clip(T))
    parts = evaluate(mine).parts
    close(parts["frames"], bound.likelihood.mean())
    for (kind, level), kl in bound.kl.items():
        close(parts[f"{kind}_{level}"], kl.mean())
    for level, e in bound.gates.items():
        close(parts[f"change_{level}"], e.mean())


def test_beta_follows_its_schedule_in_place() -> None:
    mine = objective(beta=Linear(start=0.25, end=1.0, steps=4))
    buffer, losses, kls = mine.beta, [], []
    for step in (0, 2, 4, 100):
        mine.set_step(step)
        assert mine.beta is buffer, "a captured step reads this very tensor"
        losses.append(evaluate(mine))
        kls.append(float(mine.beta))
    assert kls == [0.25, 0.625, 1.0, 1.0]
    values = [float(evaluation.loss.detach()) for evaluation in losses]
    assert values[0] < values[1] < values[2] == values[3]


def test_it_starts_at_step_0() -> None:
    assert float(objective(beta=Linear(start=0.25, steps=4)).beta) == 0.25
    assert float(objective().beta) == 1.0


def test_each_level_may_have_its_schedule() -> None:
    schedules = [Linear(), Linear(start=0.5, steps=2), Linear(end=2.0)]
    mine = objective(per="sequence", beta=schedules)
    for step, weights in ((0, [1.0, 0.5, 2.0]), (1, [1.0, 0.75, 2.0]), (2, [1.0, 1.0, 2.0])):
        mine.set_step(step)
        assert mine.beta.tolist() == weights
        loss, parts = evaluate(mine)
        total = -parts["frames"]
        for name in ("z_1", "z_2", "z_3", "e_2", "e_3"):
            total = total + weights[int(name[-1]) - 1] * parts[name]
        close(loss, total, rtol=1e-12)


@pytest.mark.parametrize("beta", [None, Linear(start=0.25, end=0.5, steps=2)])
@pytest.mark.parametrize("per", ["frame", "sequence"])
@pytest.mark.parametrize("levels", [False, True])
def test_pyros_own_bounds_see_the_same_beta(
    beta: Linear | None, per: Literal["frame", "sequence"], levels: bool
) -> None:
    schedule = [beta, Linear(), beta] if levels and beta else beta
    evaluations = []
    for elbo in (HierarchyELBO(), TraceMeanField_ELBO()):
        mine = objective(elbo=elbo, per=per, beta=schedule)
        mine.set_step(1)
        evaluations.append(evaluate(mine))
    close(evaluations[1].loss, evaluations[0].loss, rtol=1e-12)
    assert evaluations[1].parts == {}


@pytest.mark.parametrize("elbo", [HierarchyELBO(), TraceMeanField_ELBO(), Trace_ELBO()])
def test_the_loss_reaches_every_parameter(elbo: Any) -> None:
    mine = objective(system="cwvae", elbo=elbo)
    evaluate(mine).loss.backward()
    idle = [name for name, p in mine.named_parameters() if p.grad is None]
    assert not idle


def test_it_holds_all_weights_and_nothing_else() -> None:
    model, guide = tiny_dlh()
    mine = Objective(model, guide)
    assert isinstance(mine, nn.Module)
    assert {id(p) for p in mine.parameters()} == {
        id(p) for module in (model, guide) for p in module.parameters()
    }
    assert not any("beta" in name for name in mine.state_dict()), "the step is the loop's to keep"


def test_refuses_another_normaliser() -> None:
    with pytest.raises(ValueError, match="per frame or per sequence, got per='batch'"):
        objective(per="batch")


@pytest.mark.parametrize(
    "beta", [Linear(start=0.0, steps=2), [Linear(), Linear(start=0.0, steps=1), Linear()]]
)
def test_refuses_a_beta_of_0_with_pyros_own_bounds(beta: Any) -> None:
    with pytest.raises(ValueError, match="at step 0, but Pyro's own bounds need it above 0"):
        objective(elbo=TraceMeanField_ELBO(), beta=beta)
    evaluate(objective(elbo=HierarchyELBO(), beta=beta))  # ours does not


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_beta_for_another_number_of_levels_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="beta is .*, but the hierarchy has 3 levels"):
        evaluate(objective(beta=[Linear()] * count))


def test_free_nats_may_be_listed_by_level() -> None:
    listed = evaluate(objective(elbo=HierarchyELBO(free_nats=[0.5, 1.0, 2.0]))).loss
    tensor = evaluate(objective(elbo=HierarchyELBO(free_nats=torch.tensor([0.5, 1.0, 2.0])))).loss
    close(listed, tensor)
    with pytest.raises(ValueError, match=r"free_nats is \[1.0\], but the hierarchy has 3 levels"):
        evaluate(objective(elbo=HierarchyELBO(free_nats=[1.0])))


@pytest.mark.parametrize("system", ["cwvae", "dlh"])
def test_trains_under_autocast(system: str) -> None:
    given = objective(system=system).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = given(clip(T).float()).loss
    loss.backward()
    assert bool(loss.isfinite())


def test_what_is_no_schedule_or_no_particle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a schedule such as Linear\(.*\), got 0.5"):
        objective(beta=0.5)
    with pytest.raises(ValueError, match="at least 1 particle, got 0"):
        HierarchyELBO(num_particles=0)
