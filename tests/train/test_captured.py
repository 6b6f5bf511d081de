"""A captured step is the eager one; what cannot be captured says so.

Without a GPU a tape (`tests/train/tape.py`) stands in for the CUDA graph.
"""

import copy
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from pyrovp.infer import Linear, Objective
from pyrovp.processes import Processes
from pyrovp.randomness import seed_noise
from pyrovp.train import Outcome, Update, adam, captured
from pyrovp.train.captured import CapturedUpdate
from pyrovp.train.optimiser import _to_any_device, _to_gpu, set_rate
from tests.named import NAMED
from tests.train.tape import on_tape
from tests.train.toy import ToyBound

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = dict(lr=0.01, eps=1e-4, amsgrad=True, weight_decay=1e-3)
SILENT: Callable[[str], None] = print


def updates(objective: Objective) -> Update:
    """An update whose learning rate is a tensor, as on a GPU."""
    objective.schedule = Linear(start=0.1, steps=10)
    optimizer = adam(objective.parameters(), **SETTINGS)
    device = next(objective.parameters()).device
    optimizer.param_groups[0]["lr"] = torch.full(
        (), SETTINGS["lr"], device=device, dtype=torch.float64
    )
    return Update(objective, optimizer, clip=1.0)


def steps(update: Update | CapturedUpdate, videos: list[Tensor], start: int = 0) -> list[Outcome]:
    """Some steps as the loop takes them: noise, β and learning rate change at each."""
    outcomes = []
    for step, video in enumerate(videos, start):
        seed_noise(7, step, video.device)
        update.objective.set_step(step)  # type: ignore[operator]
        set_rate(update.optimizer, 0.01 / (1 + step))
        outcomes.append(update(video))
    return outcomes


def videos_of(name: str, count: int = 6, device: torch.device = CPU) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 2, NAMED[name].length, 1, 16, 16)
    return list(torch.rand(shape, generator=generator, dtype=torch.float64).to(device))


def objective_of(name: str) -> Objective:
    torch.manual_seed(0)
    return NAMED[name].objective().double()


def close(a: Any, b: Any) -> None:
    """Equal in double precision; the order of a sum may hang on where its terms lie."""
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["cwvae", "dlh", "vta", "svg_lp", "hvrnn"])
def test_captured_steps_are_the_eager_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    eager = updates(objective_of(name))
    on_tape(monkeypatch)
    said: list[str] = []
    capture = CapturedUpdate(updates(objective_of(name)), said.append)
    videos = videos_of(name)
    videos.insert(4, videos[0][:, :-1])  # another shape is taken as it is
    expected, found = steps(eager, videos), steps(capture, videos)
    assert said == [] and capture._recording is not None
    close([*expected], [*found])
    close(dict(eager.objective.state_dict()), dict(capture.objective.state_dict()))


def test_a_loaded_optimiser_is_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    eager = updates(objective_of("rssm"))
    on_tape(monkeypatch)
    capture = CapturedUpdate(updates(objective_of("rssm")), SILENT)
    videos = videos_of("rssm", 4)
    for update in (eager, capture):
        steps(update, videos)
        kept = copy.deepcopy((update.objective.state_dict(), update.optimizer.state_dict()))
        steps(update, videos, 4)
        update.objective.load_state_dict(kept[0])
        update.optimizer.load_state_dict(kept[1])
    assert capture._recording is None
    close(steps(eager, videos, 4), steps(capture, videos, 4))
    assert capture._recording is not None


class Square(nn.Module):
    """A squared error that somebody looks at.

    Args:
        looks: What it does with its loss.
    """

    def __init__(self, looks: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.looks = looks

    def set_step(self, step: int) -> None:
        """Nothing changes."""

    def forward(self, video: Tensor) -> ToyBound:
        """The error of noisy values."""
        loss = (self.weight * video + torch.randn_like(video)).square().mean()
        self.looks(loss)
        return ToyBound(loss, {})


def waits(loss: Tensor) -> None:
    warnings.warn("called a synchronizing CUDA operation", stacklevel=1)


@pytest.mark.parametrize(
    ("looks", "reason"),
    [
        (float, "aten._local_scalar_dense.default is not permitted"),
        (waits, r"\S*test_captured.py:\d+ makes the host wait for the GPU"),
    ],
)
def test_what_reads_a_number_is_not_captured(
    looks: Callable[[Tensor], Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = list(torch.rand(6, 3, 2))
    plain = Square(lambda loss: None)
    eager = Update(plain, adam(plain.parameters(), **SETTINGS))
    on_tape(monkeypatch)
    said: list[str] = []
    objective = Square(looks)
    capture = CapturedUpdate(
        Update(objective, adam(objective.parameters(), **SETTINGS)), said.append
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = steps(capture, videos)
    assert [one.loss for one in found] == [one.loss for one in steps(eager, videos)]
    assert torch.equal(objective.weight, plain.weight)
    assert len(said) == 1
    assert re.fullmatch(f"training steps are not captured as one CUDA graph: {reason}.*", said[0])


def test_other_warnings_of_a_watched_step_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    on_tape(monkeypatch)
    with pytest.warns(UserWarning, match="something else"), captured._watched() as waits:
        warnings.warn("something else", stacklevel=1)
        warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=1)
    assert waits == []


def test_on_a_cpu_steps_are_taken_as_they_are() -> None:
    said: list[str] = []
    capture = CapturedUpdate(updates(objective_of("rssm")), said.append)
    videos = videos_of("rssm", 2)
    close(steps(updates(objective_of("rssm")), videos), steps(capture, videos))
    assert said == [
        "training steps are not captured as one CUDA graph: the weights lie on cpu, not on one GPU"
    ]


def on_fake_gpu() -> nn.Parameter:
    """A parameter on a GPU that need not be there; to be called in a `FakeTensorMode`."""
    parameter = nn.Parameter(torch.empty(2, device="cuda"))
    parameter.grad = torch.empty_like(parameter)
    return parameter


def test_what_else_stands_in_the_way() -> None:
    with FakeTensorMode():
        one, other = on_fake_gpu(), on_fake_gpu()
        plain, made = torch.optim.SGD([one]), adam([other], **SETTINGS)
    reasons = [
        captured._obstacle(Update(nn.Identity(), plain)),
        captured._obstacle(Update(nn.Identity(), made, processes=Processes(0, 2))),
        captured._obstacle(Update(nn.Identity(), made)),
    ]
    assert reasons[0] is not None and "SGD reads numbers on the host" in reasons[0]
    assert reasons[1:] == ["several processes average their gradients", None]


def test_adam_keeps_everything_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    # Torch's fused kernel has no form without numbers.
    monkeypatch.setattr(
        torch, "_fused_adam_", lambda *lists, lr, **options: given.extend([*lists, lr])
    )
    with FakeTensorMode():
        parameter = on_fake_gpu()
        optimizer = adam([parameter], **SETTINGS)
        set_rate(optimizer, 0.5)
        optimizer.step()
    values = [optimizer.param_groups[0]["lr"], *optimizer.state[parameter].values()]
    assert len(values) == 5 and {value.device.type for value in values} == {"cuda"}
    assert len(given) == 7 and {value.device.type for value in tree_leaves(given)} == {"cuda"}
    assert optimizer.param_groups[0]["capturable"]


def test_a_checkpoint_of_either_device_fits_the_other() -> None:
    parameter = nn.Parameter(torch.ones(2))
    on_cpu = adam([parameter], **SETTINGS)
    saved = on_cpu.state_dict()
    _to_gpu(on_cpu)  # as a GPU would have it
    (group,) = on_cpu.param_groups
    assert isinstance(group["lr"], Tensor) and group["capturable"]
    theirs = on_cpu.state_dict()
    _to_any_device(on_cpu, theirs)
    assert theirs["param_groups"][0].pop("lr") == pytest.approx(SETTINGS["lr"])
    del saved["param_groups"][0]["lr"]
    assert theirs == saved


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@gpu
@pytest.mark.parametrize("name", ["cwvae", "dlh", "vta", "svg_lp"])
def test_on_a_gpu(name: str) -> None:
    device = torch.device("cuda", 0)
    said: list[str] = []
    eager = Update((plain := objective_of(name).to(device)), adam(plain.parameters(), **SETTINGS))
    ours = objective_of(name).to(device)
    capture = CapturedUpdate(Update(ours, adam(ours.parameters(), **SETTINGS)), said.append)
    videos = videos_of(name, 8, device)
    videos.insert(4, videos[0][:, :-1])
    expected, found = steps(eager, videos), steps(capture, videos)
    assert said == [] and capture._recording is not None
    # Sums of gradients in another order, and eight steps of Adam on them.
    torch.testing.assert_close(expected, found, rtol=1e-6, atol=1e-8)


@gpu
def test_pyros_bounds_on_a_gpu() -> None:
    device = torch.device("cuda", 0)
    said: list[str] = []
    objective = NAMED["rssm"].objective(elbo=Trace_ELBO()).double().to(device)
    update = Update(objective, adam(objective.parameters(), **SETTINGS))
    losses = [
        one.loss
        for one in steps(CapturedUpdate(update, said.append), videos_of("rssm", 4, device))
    ]
    assert len(said) == 1 and "makes the host wait" in said[0]
    assert all(loss.isfinite() for loss in losses)


@gpu
def test_after_a_recording_that_failed_noise_goes_on() -> None:
    device = torch.device("cuda", 0)
    said: list[str] = []
    objective = Square(lambda loss: None).to(device)
    capture = CapturedUpdate(
        Update(objective, adam(objective.parameters(), **SETTINGS)), said.append
    )
    videos = list(torch.rand(4, 3, 2, device=device))
    steps(capture, videos[:2])
    objective.looks = float
    outcomes = steps(capture, videos[2:], 2)
    assert len(said) == 1 and all(one.loss.isfinite() for one in outcomes)


@gpu
def test_a_checkpoint_goes_from_cpu_to_gpu_and_back() -> None:
    on_cpu = updates(objective_of("rssm"))
    steps(on_cpu, videos_of("rssm", 2))
    objective = objective_of("rssm").to("cuda")
    optimizer = adam(objective.parameters(), **SETTINGS)
    optimizer.load_state_dict(on_cpu.optimizer.state_dict())
    on_cpu.optimizer.load_state_dict(optimizer.state_dict())
    assert on_cpu.optimizer.param_groups[0]["capturable"] is False
    assert optimizer.param_groups[0]["lr"].device.type == "cuda"
    pairs = zip(on_cpu.optimizer.state.values(), optimizer.state.values(), strict=True)
    for ours, theirs in pairs:
        assert {value.device.type for value in theirs.values()} == {"cuda"}
        assert all(torch.equal(ours[name], theirs[name].cpu()) for name in ours)
