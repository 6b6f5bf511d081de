"""Something new, composed by a user: two fixed clocks under a KL-gated top."""

import inspect
from collections.abc import Sequence

import pyro
import pytest
import torch
from torch import Tensor

import pyrovp as pv
from pyrovp import guides, models
from pyrovp.predict import Rollout, open_loop

CONTEXT, HORIZON, STEPS = 8, 6, 12


def compose(video: Tensor) -> tuple[Tensor, Rollout]:
    hierarchy = pv.Hierarchy(
        levels=[
            pv.Level(clock=pv.Every(1), memory=pv.GRU(16), state=pv.Gaussian(4)),
            pv.Level(clock=pv.Every(4), memory=pv.GRU(16), state=pv.Gaussian(4)),
            pv.Level(pv.GRU(16), pv.Gaussian(4), clock=pv.Every(4), gate=pv.MixtureGate()),
        ],
        wiring=pv.Parent(),
        encoder=pv.DCGANEncoder(1, resolution=16, width=0.1),
        emission=pv.GaussianFrames(
            lambda inputs: pv.DCGANDecoder(inputs, 1, resolution=16, width=0.1), std=0.4
        ),
    )
    model, guide = pv.LatentDynamics(hierarchy), pv.Filtering(hierarchy)
    bound, losses = pv.HierarchyELBO()(model, guide), []
    optimiser = torch.optim.Adam(bound.parameters(), lr=1e-3)
    for _ in range(STEPS):
        loss = bound(video)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return torch.stack(losses), open_loop(model, guide, video[:, :CONTEXT], HORIZON)


def test_it_takes_at_most_25_lines() -> None:
    """The body above and the lines that import torch, pyrovp and open_loop."""
    body = [line for line in inspect.getsource(compose).splitlines()[1:] if line.strip()]
    assert len(body) + 3 <= 25


def squares(batch: int, frames: int) -> Tensor:
    """A bright square that moves to the right and wraps around, [B, T, 1, 16, 16]."""
    video = torch.zeros(batch, frames, 1, 16, 16)
    for b in range(batch):
        for t in range(frames):
            columns = (torch.arange(4) + 2 * t + 3 * b) % 16
            video[b, t, 0, 4:9, columns] = 1
    return video


def test_it_trains_and_predicts_open_loop() -> None:
    video = squares(4, CONTEXT + HORIZON)
    losses, rollout = compose(video)
    assert bool(losses.isfinite().all())
    assert float(losses[-3:].mean()) < 0.9 * float(losses[:3].mean())
    assert rollout.reconstruction.shape == (4, CONTEXT, 1, 16, 16)
    assert rollout.prediction.shape == (4, HORIZON, 1, 16, 16)
    assert bool(rollout.prediction.isfinite().all())
    assert rollout.gates.shape == (4, 3, CONTEXT + HORIZON)
    slow = torch.arange(CONTEXT + HORIZON) % 4 == 0
    assert bool((rollout.gates[:, 0] == 1).all())
    assert torch.equal(rollout.gates[:, 1] == 1, slow.expand(4, -1))
    assert bool((rollout.gates[:, 2, ~slow] == 0).all())
    assert bool((rollout.gates[:, 2, 0] == 1).all())
    for level in (1, 2, 3):
        kl = rollout.kl[level]
        assert kl.shape == (4, CONTEXT) and bool((kl >= 0).all())
        assert bool((kl[:, 0] > 0).all())
        assert level == 1 or bool((kl[:, ~slow[:CONTEXT]] == 0).all())
    assert not pyro.get_param_store()


@pytest.mark.parametrize(
    ("shape", "frames"),
    [
        ((2, 3, 16, 16, 1), "16, 16, 1"),
        ((2, 1, 3, 16, 16), "3, 16, 16"),
        ((2, 3, 1, 32, 32), "1, 32, 32"),
    ],
    ids=["channels last", "channels before time", "larger"],
)
def test_a_video_of_another_layout_is_told_the_models(shape: Sequence[int], frames: str) -> None:
    model = models.rssm(state=2, memory=4, hidden=4, resolution=16, width=0.05)
    guide, video = pv.Filtering(model.hierarchy, lift=(4,)), torch.zeros(shape)
    message = rf"frames are \[{frames}\], .* \[1, 16, 16\] .* \[B, T, C, H, W\]"
    for call in (lambda: guide(video), lambda: pv.HierarchyELBO().bound(model, guide, video)):
        with pytest.raises(ValueError, match=message):
            call()


def test_the_two_programs_want_a_hierarchy() -> None:
    model = models.rssm(state=2, memory=4, hidden=4, resolution=16, width=0.05)
    with pytest.raises(ValueError, match=r"Filtering needs a Hierarchy, .* model\.hierarchy"):
        pv.Filtering(model)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="LatentDynamics needs a Hierarchy.* got a list"):
        pv.LatentDynamics([])  # type: ignore[type-var]


def test_hidden_widths_are_a_list() -> None:
    with pytest.raises(ValueError, match=r"hidden layers are a list of widths .* got 40"):
        models.dlh(std=0.2, hidden=40)  # type: ignore[arg-type]
    model = models.cwvae(state=2, memory=4, hidden=4, resolution=16, width=0.05, levels=2)
    with pytest.raises(ValueError, match=r"hidden layers are a list of widths .* got 4"):
        guides.cwvae(model, lift=4)  # type: ignore[arg-type]
