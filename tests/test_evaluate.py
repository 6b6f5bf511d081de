"""Evaluation against predictions whose scores are known by hand."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import pyrovp.evaluate
from pyrovp.data import MovingDigits
from pyrovp.evaluate import Results, evaluate
from pyrovp.guides import dlh as dlh_guide
from pyrovp.hierarchy import Hierarchy
from pyrovp.metrics import PRESETS, Protocol
from pyrovp.models import dlh
from pyrovp.predict import Rollout
from pyrovp.programs import Filtering, LatentDynamics

CONTEXT, HORIZON = 3, 4

Programs = tuple[LatentDynamics[Hierarchy], Filtering]


def protocol(samples: int = 1) -> Protocol:
    return Protocol("test", CONTEXT, HORIZON, samples, PRESETS["svg"], clip=False)


def digits(split: str = "test", length: int = CONTEXT + HORIZON, size: int = 5) -> MovingDigits:
    return MovingDigits(split, length, resolution=16, digits=1, size=size)  # type: ignore[arg-type]


@pytest.fixture
def programs() -> Programs:
    model = dlh(std=0.2, levels=2, state=2, memory=4, context=4, hidden=(4,), resolution=16,
                width=0.25)  # fmt: skip
    return model, dlh_guide(model)


@pytest.fixture
def offsets(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replaces the model's predictions by the truth plus these offsets, one per sample."""
    values: list[float] = []
    test = digits()
    clips = torch.stack([test[i]["video"] for i in range(len(test))])
    start = 0

    def fake(model: object, guide: object, context: Tensor, horizon: int) -> Rollout:
        nonlocal start
        if fake.calls % len(values) == 0:  # type: ignore[attr-defined]
            start = fake.calls // len(values) * 2  # type: ignore[attr-defined]
        offset = values[fake.calls % len(values)]  # type: ignore[attr-defined]
        fake.calls += 1  # type: ignore[attr-defined]
        video = clips[start : start + len(context)]
        assert torch.equal(video[:, :CONTEXT], context)
        gates = torch.zeros(len(context), 2, CONTEXT + HORIZON)
        gates[:, 0] = 1
        gates[:, 1, 0] = 1  # every level changes at frame 0
        gates[:, 1, 2] = 1
        gates[:, 1, CONTEXT] = 1
        kl = {n: torch.full((len(context), CONTEXT), float(n)) for n in (1, 2)}
        return Rollout(context + 0.2, video[:, CONTEXT:] + offset, gates, kl)

    fake.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(pyrovp.evaluate, "open_loop", fake)
    return values


def test_figures_known_by_hand(programs: Programs, offsets: list[float]) -> None:
    offsets.append(0.1)
    results = evaluate(*programs, digits(), digits("train"), protocol(), batch=2)
    summary = results.summary()
    assert summary["sequences"] == 5
    assert summary["rows"]["model"]["psnr"]["mean"] == pytest.approx(20, abs=1e-4)
    assert summary["rows"]["model"]["psnr"]["standard_error"] == pytest.approx(0, abs=1e-4)
    assert summary["reconstruction"]["psnr"] == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
    assert summary["reconstruction"]["sharpness"] == pytest.approx(1, abs=1e-5)
    assert summary["kl_per_sequence"] == {"z_1": 3.0, "z_2": 6.0}
    # frame 0 does not count: one change in the two frames after it, one in the four predicted
    assert summary["change_rate"] == {"e_2": {"context": 0.5, "prediction": 0.25}}
    assert list(summary["rows"])[1:] == ["copy_last", "black", "training_mean", "random_sequence"]
    assert "level 2 changes at 0.500 of the context's frames" in "\n".join(results.sentences())


def test_pictures_show_the_first_clips(programs: Programs, offsets: list[float]) -> None:
    offsets.append(0.1)
    test = digits()
    films = evaluate(*programs, test, digits("train"), protocol(), batch=2, films=3).films
    video = torch.stack([test[i]["video"] for i in range(3)])
    assert torch.equal(films.context, video[:, :CONTEXT])
    assert torch.equal(films.truth, video[:, CONTEXT:])
    torch.testing.assert_close(films.prediction, films.truth + 0.1)
    torch.testing.assert_close(films.reconstruction, films.context + 0.2)


def test_the_best_sample_counts_and_the_first_is_shown(
    programs: Programs, offsets: list[float]
) -> None:
    offsets.extend([0.3, 0.1, 0.2])
    results = evaluate(*programs, digits(), digits("train"), protocol(3), batch=2)
    assert results.table["rows"]["model"]["psnr"]["mean"] == pytest.approx(20, abs=1e-4)
    torch.testing.assert_close(results.films.prediction, results.films.truth + 0.3)


@pytest.fixture
def twice(programs: Programs) -> Iterator[tuple[Results, Results]]:
    def run() -> Results:
        return evaluate(*programs, digits(), digits("train"), protocol(), batch=2, seed=4)

    programs[0].train()
    before = torch.get_rng_state()
    first = run()
    assert torch.equal(torch.get_rng_state(), before) and programs[0].training
    torch.rand(3)
    yield first, run()


def test_noise_is_its_own(twice: tuple[Results, Results]) -> None:
    assert twice[0].summary() == twice[1].summary()
    assert twice[0].gates.shape == (5, 2, CONTEXT + HORIZON)
    assert {level: kl.shape for level, kl in twice[0].kl.items()} == {
        1: (5, CONTEXT), 2: (5, CONTEXT),
    }  # fmt: skip


def test_clips_that_are_too_short(programs: Programs) -> None:
    with pytest.raises(ValueError, match="have 6 frames, but .* need 7"):
        evaluate(*programs, digits(length=6), digits("train"), protocol())
    assert all(program.training for program in programs)  # as they were before
