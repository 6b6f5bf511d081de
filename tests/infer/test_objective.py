"""The objective: normalised as asked, β on its schedule, parts that add up."""

from itertools import product
from pathlib import Path
from typing import Any, Literal

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pyrovp.distributions import DiagonalNormal, IsotropicFrames
from pyrovp.infer import Exponential, HierarchyELBO, Linear, Objective
from pyrovp.memo import memo
from tests.oracles.tiny import close
from tests.systems import clip, tiny_cwvae, tiny_dlh

B, T = 2, 5


def objective(*, system: str = "dlh", **options: Any) -> Objective:
    model, guide = tiny_dlh() if system == "dlh" else tiny_cwvae()
    return Objective(model, guide, **options).double()


def evaluate(given: Objective) -> Any:
    torch.manual_seed(0)
    return given(clip(T))


TERMS = {"frame": T, "sequence": 1, "pixel": 16 * 16}
"""What the loss of a sequence is divided by."""


@pytest.mark.parametrize(("system", "per"), list(product(["cwvae", "dlh"], TERMS)))
def test_the_loss_is_a_mean(system: str, per: Literal["frame", "sequence", "pixel"]) -> None:
    mine = objective(system=system, per=per)
    torch.manual_seed(0)
    total = HierarchyELBO().loss(mine.model, mine.guide, clip(T))
    expected = total / (B * TERMS[per])
    assert float(evaluate(mine).loss.detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("per", TERMS)
def test_the_parts_add_up_to_the_loss(
    per: Literal["frame", "sequence", "pixel"], beta: float
) -> None:
    loss, parts = evaluate(objective(per=per, beta=Linear(end=beta)))
    kls = [value for name, value in parts.items() if name[:2] in ("z_", "e_")]
    per_sequence = beta * torch.stack(kls).sum() - parts["frames"]
    # β passes through a buffer that float32 may have rounded.
    close(loss * TERMS[per], per_sequence, rtol=1e-7)


class Sketch(nn.Module):
    """A model that sees its past frames by the encoder that its guide uses too.

    Args:
        given: Frames that are neither drawn nor scored.
    """

    def __init__(self, *, given: int = 1, std: float = 1.0) -> None:
        super().__init__()
        self.given, self.std = given, std
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3))
        self.decoder = nn.Linear(3, 12)

    def scored(self, length: int) -> range:
        """All frames but those given."""
        return range(self.given, length)

    def forward(self, video: Tensor) -> None:
        """p(z_t) = N(f(x_{t-1}), 1), p(x_t) = N(decoder(z_t), σ²)."""
        past = memo(self.look)(video)
        with pyro.plate("sequences", len(video), dim=-1):
            drawn = [self.draw(t, past[:, t - 1]) for t in self.scored(video.shape[1])]
            frames = self.decoder(torch.stack(drawn, -2)).unflatten(-1, (3, 2, 2))
            pyro.sample("frames", IsotropicFrames(frames, self.std), obs=video[:, self.given :])

    def look(self, video: Tensor) -> Tensor:
        """f(x_t) of all frames."""
        return self.encoder(video.flatten(0, 1)).unflatten(0, video.shape[:2])

    def draw(self, t: int, mean: Tensor) -> Tensor:
        """z_t."""
        return pyro.sample(f"z_1_{t}", DiagonalNormal.of(mean, torch.ones_like(mean)))


class Sight(nn.Module):
    """The sketch's guide: q(z_t) = N(f(x_t), 1)."""

    def __init__(self, model: Sketch) -> None:
        super().__init__()
        self.model = model

    def forward(self, video: Tensor) -> None:
        """Draws z of the scored frames."""
        features = memo(self.model.look)(video)
        with pyro.plate("sequences", len(video), dim=-1):
            for t in self.model.scored(video.shape[1]):
                self.model.draw(t, features[:, t])


def sketch(*, given: int = 1, std: float = 1.0, **options: Any) -> Objective:
    torch.manual_seed(1)
    model = Sketch(given=given, std=std)
    return Objective(model, Sight(model), **options).double()


VIDEO = torch.rand(4, 6, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("given", [1, 2, 5])
@pytest.mark.parametrize("elbo", [HierarchyELBO(), TraceMeanField_ELBO()])
def test_a_mean_over_frames_is_over_those_that_are_scored(given: int, elbo: Any) -> None:
    losses = {}
    for per in ("frame", "sequence", "pixel"):
        torch.manual_seed(0)
        losses[per] = sketch(given=given, elbo=elbo, per=per)(VIDEO).loss
    close(losses["frame"] * (6 - given), losses["sequence"], rtol=1e-12)
    close(losses["pixel"] * 12, losses["sequence"], rtol=1e-12)


def test_per_pixel_is_svgs_loss() -> None:
    """Σ_t mean squared error of frame t + β' KL: σ² = ½, β = β' · pixels."""
    mine = sketch(std=2**-0.5, per="pixel", beta=Linear(end=1e-3 * 12))
    torch.manual_seed(0)
    found = mine(VIDEO)
    model: Any = mine.model
    torch.manual_seed(0)
    features = model.look(VIDEO)
    kl = 0.5 * (features[:, 1:] - features[:, :-1]).square().sum((1, 2))
    z = torch.stack([f + torch.randn_like(f) for f in features[:, 1:].unbind(1)], 1)
    errors = model.decoder(z).unflatten(-1, (3, 2, 2)) - VIDEO[:, 1:]
    constant = 5 * 0.5 * torch.log(torch.tensor(torch.pi, dtype=torch.float64))
    expected = errors.square().mean((2, 3, 4)).sum(1).mean() + 1e-3 * kl.mean() + constant
    close(found.loss, expected, rtol=1e-7)  # β passes through float32


ELBOS = {
    "hierarchy": HierarchyELBO(),
    "mean field": TraceMeanField_ELBO(),
    "trace": Trace_ELBO(),
    "two particles": Trace_ELBO(num_particles=2),
}


@pytest.mark.parametrize("elbo", ELBOS)
def test_features_are_computed_once_a_step(elbo: str) -> None:
    """By model and guide together; so BatchNorm counts one batch, whose statistics it takes."""
    mine = sketch(elbo=ELBOS[elbo])
    encoder: Any = mine.model.encoder
    calls = []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    for step in (1, 2):
        mine.set_step(step)
        mine(VIDEO).loss.backward()
        assert len(calls) == step and int(encoder[2].num_batches_tracked) == step
    mean = encoder[:2](VIDEO.flatten(0, 1)).mean(0)
    close(encoder[2].running_mean, (1 - 0.9**2) * mean)


@pytest.mark.parametrize("elbo", ["mean field", "trace", "two particles"])
@pytest.mark.parametrize("system", ["cwvae", "dlh"])
def test_the_memo_leaves_pyros_own_bounds_as_they_are(elbo: str, system: str) -> None:
    mine = objective(system=system, elbo=ELBOS[elbo], per="sequence")
    torch.manual_seed(0)
    plain = ELBOS[elbo].differentiable_loss(mine.model, mine.guide, clip(T)) / B
    found = evaluate(mine).loss
    close(found, plain, rtol=1e-12)
    parameters = list(mine.parameters())
    for a, b in zip(
        torch.autograd.grad(found, parameters, allow_unused=True),
        torch.autograd.grad(plain, parameters, allow_unused=True),
        strict=True,
    ):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            close(a, b)


class Relaxed(nn.Module):
    """A module with a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Exponential(start=1.0, rate=0.5, floor=0.2, every=2)
        self.told: list[int] = []

    def set_step(self, step: int) -> None:
        """Notes the step."""
        self.told.append(step)


@pytest.mark.parametrize("where", ["model", "guide"])
def test_what_anneals_inside_is_told_the_step(where: str) -> None:
    model, guide = tiny_dlh()
    inner = Relaxed()
    ({"model": model, "guide": guide}[where]).add_module("deep", nn.Sequential(inner, inner))
    mine = Objective(model, guide, beta=Linear(start=0.5, steps=4))
    assert inner.told == [0]
    mine.set_step(2)
    assert inner.told == [0, 2] and float(mine.beta) == 0.75, "β and the module, each once"


def test_beta_may_be_any_function_of_the_step() -> None:
    mine = objective(beta=Exponential(start=2.0, rate=0.5, floor=1.0, every=1))
    mine.set_step(2)
    assert float(mine.beta) == 1.25
    per_level = objective(beta=[Linear(), lambda step: 0.5, Exponential(start=1.0, rate=0.5)])
    per_level.set_step(1)
    assert per_level.beta.tolist() == [1.0, 0.5, 0.5]


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
    with pytest.raises(ValueError, match="per sequence or per pixel, got per='batch'"):
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


def test_it_is_an_ordinary_module_for_torchs_own_parallelism(tmp_path: Path) -> None:
    """Its gradients through DistributedDataParallel are its own, in a group of one process."""
    own, video = objective(), clip(T)
    gradients: list[list[Tensor]] = []
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1
    )
    try:
        for module in (own, DistributedDataParallel(own)):
            own.zero_grad()
            torch.manual_seed(1)
            module(video).loss.backward()
            gradients.append([p.grad for p in own.parameters() if p.grad is not None])
    finally:
        torch.distributed.destroy_process_group()
    assert gradients[0] and len(gradients[0]) == len(gradients[1])
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
