"""A toy HVRNN over the same primitives as CW-VAE and DLH: nothing in them belongs to those two."""

import pyro
import pytest
import torch
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor

from pyrovp import HierarchyELBO
from pyrovp.sites import parse
from tests.oracles.tiny import close
from tests.toys.handlers import check_particles, disagreement, run
from tests.toys.hvrnn import HVRNN, HVRNNGuide

B, T, CONTEXT = 3, 7, 2


def toy(dtype: torch.dtype = torch.float64) -> tuple[HVRNN, HVRNNGuide, Tensor]:
    model = HVRNN(context=CONTEXT).to(dtype)
    return model, HVRNNGuide(model).to(dtype), torch.rand(B, T, 1, 2, 2, dtype=dtype)


def gradients(loss: Tensor, guide: HVRNNGuide) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(guide.parameters())))


def test_sites_are_those_of_the_predicted_frames_in_both_programs() -> None:
    model, guide, video = toy()
    q, p = run(guide, video), run(model, video)
    expected = {("z", n, t) for n in (1, 2, 3) for t in range(CONTEXT, T)}
    for trace in (q, p):
        assert {parse(name) for name in trace.stochastic_nodes} - {None} == expected
    assert p.nodes["frames"]["value"].shape == (B, T - CONTEXT, 1, 2, 2)


@pytest.mark.parametrize("memo", [True, False])
def test_bound_equals_mean_field_value_and_gradient(memo: bool) -> None:
    model, guide, video = toy()
    found = []
    for bound in (HierarchyELBO(memo=memo), TraceMeanField_ELBO()):
        torch.manual_seed(3)
        loss = bound.differentiable_loss(model, guide, video)
        found.append((loss, gradients(loss, guide)))
    close(found[0][0], found[1][0], rtol=0.0, atol=1e-9)
    for ours, stock in zip(found[0][1], found[1][1], strict=True):
        close(ours, stock, rtol=0.0, atol=1e-9)


def test_bound_equals_trace_elbo_in_mean() -> None:
    """False alarm: once in 390 000 seeds."""
    assert abs(disagreement(*toy())) < 5.5


def test_parts_are_one_kl_per_level() -> None:
    model, guide, video = toy()
    bound = HierarchyELBO().bound(model, guide, video)
    assert set(bound.kl) == {("z", 1), ("z", 2), ("z", 3)}
    assert all(kl.shape == (B,) and bool((kl > 0).all()) for kl in bound.kl.values())
    total = sum(bound.kl.values(), -bound.likelihood).sum()
    close(bound.loss, total)


def test_posterior_level_major_is_time_major() -> None:
    """`scan` over the clip against `step`, with the same noise."""
    _, guide, video = toy()
    whole, stepwise = run(guide, video), run(guide.time_major, video)
    assert whole.stochastic_nodes != stepwise.stochastic_nodes  # they do walk in other orders
    for name in whole.stochastic_nodes:
        for key in ("value", "log_prob"):
            close(whole.nodes[name][key], stepwise.nodes[name][key])


def test_generation_fed_with_true_frames_is_teacher_forcing() -> None:
    """Priors and frame means, on states of the prior's own and on those of the posterior."""
    model, guide, video = toy()
    for given in (None, run(guide, video)):
        forced = run(model, video, given=given)
        stepwise = run(model.generate, video, T, given=given)
        close(stepwise.nodes["_RETURN"]["value"], forced.nodes["frames"]["fn"].mean)
        for name in stepwise.stochastic_nodes:
            for key in ("value", "log_prob"):
                close(stepwise.nodes[name][key], forced.nodes[name][key])


def test_generation_feeds_back_its_own_mean() -> None:
    model, _, video = toy()
    forced = run(model, video).nodes["frames"]["fn"].mean
    free = run(model.generate, video[:, :CONTEXT], T).nodes["_RETURN"]["value"]
    close(free[:, 0], forced[:, 0])
    assert bool((free[:, 1:] != forced[:, 1:]).flatten(2).any(-1).all())
    # Given those means as true frames, teacher forcing repeats them.
    again = torch.cat((video[:, :CONTEXT], free), 1)
    close(run(model, again).nodes["frames"]["fn"].mean, free)


def test_evidence_offsets() -> None:
    """The prior of t sees frames up to t - 1, the posterior up to t, the emission up to t - 1."""
    model, guide, video = toy()
    video.requires_grad_()
    q = run(guide, video)
    for z in q.stochastic_nodes:
        if parse(z) is not None:  # states, cut off from the frames they were inferred from
            q.nodes[z]["value"] = q.nodes[z]["value"].detach()
    p = run(model, video, given=q)

    def last_seen(value: Tensor) -> int:
        (gradient,) = torch.autograd.grad(value.sum(), video, retain_graph=True)
        return int(gradient.abs().sum((0, 2, 3, 4)).nonzero().max())

    for n in (1, 2, 3):
        for t in range(CONTEXT, T):
            assert last_seen(p.nodes[f"z_{n}_{t}"]["fn"].parameters) == t - 1
            assert last_seen(q.nodes[f"z_{n}_{t}"]["fn"].parameters) == t
    for i in range(T - CONTEXT):
        assert last_seen(p.nodes["frames"]["fn"].mean[:, i]) == CONTEXT + i - 1


def test_every_head_sees_all_levels_above_it() -> None:
    model, guide, video = toy()
    q = run(guide, video)
    states = {n: q.nodes[f"z_{n}_4"]["value"] for n in (1, 2, 3)}
    belief = q.nodes["z_1_4"]["fn"].parameters.sum()
    for n in (2, 3):
        (gradient,) = torch.autograd.grad(belief, states[n], retain_graph=True)
        assert bool((gradient != 0).all())


def test_two_models_train_in_one_process() -> None:
    (first, guide, video), (other, other_guide, _) = toy(torch.float32), toy(torch.float32)
    before = [parameter.clone() for parameter in other_guide.parameters()]
    optimiser = torch.optim.Adam(guide.parameters(), lr=1e-2)
    losses = []
    for step in range(30):
        torch.manual_seed(step % 10)
        loss = HierarchyELBO()(first, guide)(video)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert not pyro.get_param_store()
    assert all(map(torch.equal, before, other_guide.parameters()))
    values = [HierarchyELBO().loss(m, g, video) for m, g in ((first, guide), (other, other_guide))]
    assert values[0] < values[1]


def test_particles_in_parallel_are_particles_one_by_one() -> None:
    check_particles(*toy())
