"""Several processes that train together come to the same weights as one with the joint batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovp.data import MovingDigits
from pyrovp.evaluation import Results, Shards, evaluate
from pyrovp.infer import Objective
from pyrovp.metrics import Protocol, ssim_preset
from pyrovp.processes import Processes
from pyrovp.randomness import seed_noise
from pyrovp.train import Outcome, Update, fit, validate
from tests.named import NAMED
from tests.systems import tiny_mixed
from tests.train.same_noise import SameNoise
from tests.train.together import Together, joining
from tests.train.toy import ToyBound

NORMED = ("svg_lp", "vta")
EXACT = sorted({*NAMED, "mixed"} - {*NORMED})
BOTH = ("dlh", "hvrnn")  # by two processes and in two parts at a time


class Renewed:
    """An update in which every part of a batch draws the same."""

    def __init__(self, update: Update) -> None:
        self.objective, self.optimizer, self._update = update.objective, update.optimizer, update
        self._noise = SameNoise()
        self.objective.register_forward_pre_hook(lambda *_: setattr(self._noise, "calls", 0))

    def __call__(self, video: Tensor) -> Outcome:
        """Takes one step."""
        with self._noise:
            return self._update(video)


def weights(
    name: str, processes: Processes, accumulate: int = 1, steps: int = 3
) -> dict[str, Tensor]:
    """A system's weights after some steps of four sequences each."""
    torch.manual_seed(3)
    objective = Objective(*tiny_mixed()) if name == "mixed" else NAMED[name].objective().double()
    length = 6 if name == "mixed" else NAMED[name].length

    def videos(step: int) -> Iterator[Tensor]:
        while True:
            generator = torch.Generator().manual_seed(step)
            video = torch.rand(4, length, 1, 16, 16, dtype=torch.float64, generator=generator)
            yield video.chunk(processes.ranks)[processes.rank]
            step += 1

    # Neither Adam nor clipping: they would hide a gradient of another length.
    sgd = torch.optim.SGD(objective.parameters(), lr=1e-3)
    update = Update(objective, sgd, processes=processes, accumulate=accumulate)
    fit(Renewed(update), videos, steps, processes=processes)
    return objective.state_dict()


@joining
def systems(processes: Processes, folder: Path) -> None:
    """Each system by one process and by two, with a batch taken at once and in two parts."""
    parts = processes.rank + 1
    for name in EXACT:
        alone = weights(name, Processes(), parts)
        start = weights(name, Processes(), steps=0)
        assert max((alone[key] - start[key]).abs().max() for key in start) > 1e-3
        torch.save(alone, folder / f"{name}-one-{parts}.pt")
        for accumulate in (1, 2) if name in BOTH else (1,):
            found = weights(name, processes, accumulate)
            torch.save(found, folder / f"{name}-two-{accumulate}-{processes.rank}.pt")
    for name in NORMED:
        found = weights(name, processes, steps=1)
        torch.save(found, folder / f"{name}-two-1-{processes.rank}.pt")
    unused(processes)
    uneven(processes)
    scored(processes, folder)


class Partial(nn.Module):
    """A loss with one part for all, one for process 1 alone, and one for none."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.all, self.one, self.none = (nn.Parameter(torch.ones(2)) for _ in range(3))

    def forward(self, video: Tensor) -> ToyBound:
        loss = (self.all * (self.rank + 1)).sum() + (self.one.sum() if self.rank else 0)
        return ToyBound(loss, {})


def unused(processes: Processes) -> None:
    """A parameter without a part in the loss keeps no gradient, and its value.

    What is clipped is the mean.
    """
    objective = Partial(processes.rank)
    sgd = torch.optim.SGD(objective.parameters(), lr=1.0, weight_decay=0.5)
    outcome = Update(objective, sgd, processes=processes, clip=1.0)(torch.zeros(1))
    assert outcome.norm.item() == pytest.approx(5**0.5)  # of the mean [1.5, 1.5, 0.5, 0.5]
    assert objective.all.tolist() == pytest.approx([1 - (1.5 / 5**0.5 + 0.5)] * 2, abs=1e-5)
    assert objective.one.tolist() == pytest.approx([1 - (0.5 / 5**0.5 + 0.5)] * 2, abs=1e-5)
    assert objective.none.grad is None and objective.none.tolist() == [1.0, 1.0]


class Mean(Partial):
    """The mean of a batch as its loss."""

    def set_step(self, step: int) -> None:
        """Nothing anneals."""

    def forward(self, video: Tensor) -> ToyBound:
        return ToyBound(video.mean(), {})


def uneven(processes: Processes) -> None:
    """A validation counts every clip once, in batches of any size, one for each or fewer."""
    clips = torch.arange(8.0)
    for sizes in ([3, 3, 2], [3, 5], [8]):
        assert validate(Mean(0), clips.split(sizes), processes=processes) == clips.mean()


def scored(processes: Processes, folder: Path) -> None:
    """Figures, pictures and shards of five clips in three batches are those of one process."""
    torch.manual_seed(3)
    model = NAMED["dlh"].model()
    guide = NAMED["dlh"].guide(model)
    test, train = (MovingDigits(s, length=6, resolution=16, size=5) for s in ("test", "train"))

    def results(processes: Processes, shards: Shards | None = None) -> Results:
        return evaluate(
            model,
            guide,
            test,
            train,
            Protocol("tiny", 3, 3, 2, ssim_preset("svg"), True),
            batch=2,
            films=3,
            show="psnr",
            shards=shards,
            processes=processes,
        )

    one, shards = results(Processes()), Shards(folder, "shards")
    assert same(results(processes), one)
    assert same(results(processes, shards), one)
    processes.wait()
    if processes.main:
        shards.path(2).unlink()
    processes.wait()
    assert same(results(processes, shards), one) and shards.path(2).exists()


def same(a: Any, b: Any) -> bool:
    """Equal in every number."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Sequence) and not isinstance(a, str):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a pair of processes has left."""
    folder = tmp_path_factory.mktemp("systems")
    pair = Together(systems, folder, folder=folder)
    assert pair.wait(180.0) == [0, 0], pair.said()
    return folder


def load(folder: Path, name: str) -> dict[str, Tensor]:
    return torch.load(folder / f"{name}.pt", weights_only=True)


@pytest.mark.parametrize("name", EXACT)
def test_two_processes_and_parts_of_a_batch_are_the_joint_batch(found: Path, name: str) -> None:
    joint = load(found, f"{name}-one-1")
    others = [load(found, path.stem) for path in found.glob(f"{name}-*.pt")]
    assert len(others) == (6 if name in BOTH else 4)
    for other in others:
        for key, value in joint.items():
            assert (other[key] - value).abs().max() < 1e-6, key
    assert same(load(found, f"{name}-two-1-0"), load(found, f"{name}-two-1-1"))


@pytest.mark.parametrize("name", NORMED)
def test_running_statistics_are_the_mean_over_the_processes(found: Path, name: str) -> None:
    shares = [load(found, f"{name}-two-1-{rank}") for rank in (0, 1)]
    joint = weights(name, Processes(), steps=1)
    assert same(*shares)
    torch.manual_seed(3)
    objective = NAMED[name].objective()
    first = next(n for n, part in objective.named_modules() if isinstance(part, _BatchNorm))
    mean = f"{first}.running_mean"
    torch.testing.assert_close(shares[0][mean], joint[mean], rtol=0, atol=1e-12)


def test_each_process_has_noise_of_its_own() -> None:
    draws = []
    for rank in ((), (0,), (1,)):
        seed_noise(5, 7, torch.device("cpu"), *rank)
        draws.append(torch.randn(3))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
