"""Evaluation against predictions whose scores are known by hand, and against the plain loop."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from pyrovp import guides, models
from pyrovp.evaluation import PSNR, Results, evaluate, futures
from pyrovp.metrics import baselines, metrics_table, psnr, relative_sharpness, ssim
from pyrovp.predict import open_loop
from pyrovp.programs import LatentDynamics
from pyrovp.randomness import seed_noise, undisturbed
from tests.evaluation.programs import (
    CONTEXT,
    HORIZON,
    FakeStream,
    Programs,
    digits,
    protocol,
    tiny_programs,
)


@pytest.fixture
def programs() -> Programs:
    return tiny_programs()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeStream]:
    def install(*offsets: float, chunk: int = HORIZON) -> FakeStream:
        stream = FakeStream(digits(), list(offsets), chunk)
        monkeypatch.setattr(futures, "stream", stream)
        return stream

    return install


@pytest.mark.parametrize("chunk", [1, 3, HORIZON])
def test_figures_known_by_hand(
    programs: Programs, fake: Callable[..., FakeStream], chunk: int
) -> None:
    fake(0.1, chunk=chunk)
    results = evaluate(*programs, digits(), digits("train"), protocol(), batch=2)
    summary = results.summary()
    assert summary["sequences"] == 5
    assert summary["rows"]["model"]["psnr"]["mean"] == pytest.approx(20, abs=1e-4)
    assert summary["rows"]["model"]["psnr"]["standard_error"] == pytest.approx(0, abs=1e-4)
    assert summary["rows"]["model"]["sharpness"]["mean"] == pytest.approx(1, abs=1e-5)
    assert summary["reconstruction"]["psnr"] == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
    assert summary["reconstruction"]["sharpness"] == pytest.approx(1, abs=1e-5)
    assert summary["kl_per_sequence"] == {"z_1": 3.0, "z_2": 6.0}
    # frame 0 does not count: one change in the two frames after it, one in the four predicted
    assert summary["change_rate"] == {"e_2": {"context": 0.5, "prediction": 0.25}}
    assert list(summary["rows"])[1:] == ["copy_last", "black", "training_mean", "random_sequence"]
    assert "level 2 changes at 0.500 of the context's frames" in "\n".join(results.sentences())
    assert summary["effective_horizon"]["psnr"]["frame"] is None  # 20 dB is better to the end
    assert "model, PSNR [dB] (unclipped): better" in "\n".join(results.outlook())


def test_pictures_show_the_first_clips(
    programs: Programs, fake: Callable[..., FakeStream]
) -> None:
    fake(0.1)
    test = digits()
    films = evaluate(*programs, test, digits("train"), protocol(), batch=2, films=3).films
    video = torch.stack([test[i]["video"] for i in range(3)])
    assert torch.equal(films.context, video[:, :CONTEXT])
    assert torch.equal(films.truth, video[:, CONTEXT:])
    torch.testing.assert_close(films.prediction, films.truth + 0.1)
    torch.testing.assert_close(films.reconstruction, films.context + 0.2)


@pytest.mark.parametrize("rows", [2, 4, 64])
def test_the_best_sample_counts_and_the_first_is_shown(
    programs: Programs, fake: Callable[..., FakeStream], rows: int
) -> None:
    stream = fake(0.3, 0.1, 0.2)
    results = evaluate(*programs, digits(), digits("train"), protocol(3), batch=2, rows=rows)
    made = results.table["rows"]
    assert made["model"]["psnr"]["mean"] == pytest.approx(20, abs=1e-4)
    average = -20 * sum(map(math.log10, (0.3, 0.1, 0.2))) / 3
    assert made["average_sample"]["psnr"]["mean"] == pytest.approx(average, abs=1e-4)
    assert results.summary()["effective_horizon"]["psnr"]["row"] == "average_sample"
    torch.testing.assert_close(results.films.prediction, results.films.truth + 0.3)
    assert max(stream.batches) <= rows and stream.drawn == 3 * 3  # samples of three batches


def test_the_best_and_the_worst_are_shown(
    programs: Programs, fake: Callable[..., FakeStream]
) -> None:
    # Each batch draws its three samples, then again the passes of the best and the worst.
    fake(0.2, 0.3, 0.1, 0.3, 0.1)
    results = evaluate(
        *programs, digits(), digits("train"), protocol(3), batch=2, films=3, rows=64, show="psnr"
    )
    shown = results.extremes
    assert shown is not None and shown.measure == "psnr"
    assert shown.best_sample == [2, 2, 2] and shown.worst_sample == [1, 1, 1]
    assert shown.best_score == pytest.approx([20] * 3, abs=1e-4)
    torch.testing.assert_close(shown.best, results.films.truth + 0.1)
    torch.testing.assert_close(shown.worst, results.films.truth + 0.3)


def test_the_horizon_is_that_of_the_average_sample(
    programs: Programs, fake: Callable[..., FakeStream]
) -> None:
    fake(0.05, 3.0, 3.0)  # 26 dB and twice -9.5 dB; a random clip has about 10 dB
    results = evaluate(*programs, digits(), digits("train"), protocol(3), batch=2)
    assert results.horizons["psnr"].frame == 1
    fake(0.05)
    results = evaluate(*programs, digits(), digits("train"), protocol(), batch=2)
    assert results.horizons["psnr"].frame is None


def test_clipped_where_the_protocol_says_so(
    programs: Programs, fake: Callable[..., FakeStream]
) -> None:
    fake(-5.0)  # black, once it is clipped
    clipped = evaluate(*programs, digits(), digits("train"), protocol(clip=True)).table["rows"]
    assert clipped["model"] == clipped["black"]


def test_of_one_sample_there_is_no_best(
    programs: Programs, fake: Callable[..., FakeStream]
) -> None:
    fake(0.1)
    results = evaluate(*programs, digits(), digits("train"), protocol(), show="ssim")
    assert results.extremes is None and "average_sample" not in results.table["rows"]


def test_only_what_is_asked_for_is_measured(
    programs: Programs, fake: Callable[..., FakeStream]
) -> None:
    fake(0.1)
    results = evaluate(*programs, digits(), digits("train"), protocol(), measures=[PSNR()])
    assert list(results.table["labels"]) == ["psnr"]


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


def test_an_unknown_measure_to_show_by(programs: Programs) -> None:
    with pytest.raises(ValueError, match="psnr, ssim, sharpness, got 'lpips'"):
        evaluate(*programs, digits(), digits("train"), protocol(), show="lpips")


def vta() -> tuple[LatentDynamics, torch.nn.Module]:
    model = models.vta(belief=4, features=4, state=3, given=1, tail=1, channels=1, resolution=16)
    return model, guides.vta(model)


def svg_lp() -> tuple[LatentDynamics, torch.nn.Module]:
    model = models.svg_lp(width=0.05, memory=8, features=8, context=2, channels=1, resolution=16)
    return model, guides.svg_lp(model)


@pytest.mark.parametrize("make", [tiny_programs, vta, svg_lp])
def test_one_sample_is_the_plain_loop_to_the_last_bit(
    make: Callable[[], tuple[LatentDynamics, torch.nn.Module]], seed: int
) -> None:
    """Beyond 50 frames predictions come in several chunks."""
    model, guide = make()
    horizon = 52
    test, training = digits(length=CONTEXT + horizon), digits("train")
    asked = protocol(horizon=horizon, clip=True)
    results = evaluate(model, guide, test, training, asked, batch=2, seed=seed)
    plain = plainly(model, guide, test, training, horizon, seed)
    assert results.table["rows"] == metrics_table(asked, plain)["rows"]


def plainly(
    model: LatentDynamics,
    guide: torch.nn.Module,
    test: object,
    training: object,
    horizon: int,
    seed: int,
) -> dict[str, dict[str, Tensor]]:
    """All predictions of a batch at once, each scored as a whole."""
    clips, known = (
        torch.stack([item[i]["video"] for i in range(5)])  # type: ignore[index]
        for item in (test, training)
    )
    model.eval(), guide.eval()
    scores: dict[str, dict[str, list[Tensor]]] = {}
    for start in range(0, 5, 2):
        video = clips[start : start + 2]
        context, truth = video[:, :CONTEXT], video[:, CONTEXT:]
        with undisturbed():
            seed_noise(seed, start, torch.device("cpu"))
            made = {"model": open_loop(model, guide, context, horizon).prediction}
        made |= baselines(context, horizon, known, seed + start)
        for name, frames in made.items():
            frames = frames.clamp(0, 1)
            row = scores.setdefault(name, {"psnr": [], "ssim": [], "sharpness": []})
            row["psnr"].append(psnr(frames, truth))
            row["ssim"].append(ssim(frames, truth, "svg"))
            row["sharpness"].append(relative_sharpness(frames, truth))
    return {name: {m: torch.cat(s) for m, s in row.items()} for name, row in scores.items()}


def test_many_samples_contain_the_one(programs: Programs) -> None:
    one, many = (
        evaluate(*programs, digits(), digits("train"), protocol(samples), batch=2, rows=4)
        for samples in (1, 4)
    )
    assert torch.equal(one.films.prediction, many.films.prediction)
    assert one.reconstruction == many.reconstruction
    for metric in ("psnr", "ssim"):
        best, first = (r.table["rows"]["model"][metric]["mean"] for r in (many, one))
        assert best >= first and best >= many.table["rows"]["average_sample"][metric]["mean"]
