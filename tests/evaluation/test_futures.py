"""Passes: every sample once, with noise of its own that comes again."""

import pytest
import torch
from torch import Tensor

from pyrovp.evaluation.futures import CHUNK, Futures
from pyrovp.predict import open_loop
from pyrovp.randomness import seed_noise, undisturbed
from tests.evaluation.programs import CONTEXT, digits, tiny_programs


def made(samples: int, rows: int = 64, horizon: int = 4, sequences: int = 2) -> Futures:
    torch.manual_seed(1)
    model, guide = tiny_programs()
    model.eval(), guide.eval()
    context = torch.stack([digits()[i]["video"][:, :] for i in range(sequences)])[:, :CONTEXT]
    return Futures(model, guide, context, horizon, samples, rows, seed=3, start=16)


def frames(futures: Futures, samples: range) -> Tensor:
    """[len(samples), B, horizon, C, H, W]."""
    with undisturbed(), torch.no_grad():
        _, *chunks = futures.draw(samples)
    return torch.cat([c.frames for c in chunks], 1).unflatten(0, (len(samples), -1))


@pytest.mark.parametrize(("samples", "rows"), [(1, 64), (2, 64), (7, 6), (100, 64), (5, 1)])
def test_every_sample_is_drawn_once(samples: int, rows: int) -> None:
    futures = made(samples, rows)
    passes = futures.passes()
    assert [sample for drawn in passes for sample in drawn] == list(range(samples))
    assert passes[0] == range(1)
    assert all(len(drawn) * 2 <= max(rows, 2) for drawn in passes)


def test_the_first_sample_is_open_loop_with_the_key_of_its_batch() -> None:
    futures = made(5)
    with undisturbed(), torch.no_grad():
        seed_noise(3, 16, torch.device("cpu"))
        plain = open_loop(futures.model, futures.guide, futures.context, 4).prediction
    assert torch.equal(frames(futures, range(1))[0], plain)


def test_a_pass_comes_again_and_differs_from_others() -> None:
    futures = made(7, rows=6)
    first, second, third = (frames(futures, drawn) for drawn in futures.passes())
    assert torch.equal(frames(futures, range(4, 7)), third)
    assert torch.equal(frames(futures, range(1, 4)), second)
    samples = torch.cat((first, second, third))
    pairs = torch.pdist(samples.flatten(1))
    assert (pairs > 0).all()  # seven different futures


def test_a_pass_holds_whole_batches_sample_by_sample() -> None:
    """Row s B + b is sample s of sequence b: its context is reconstructed as that of b."""
    futures = made(4)
    with undisturbed(), torch.no_grad():
        context = next(futures.draw(range(1, 4)))
    assert len(context.frames) == 6
    assert context.start == 0


def test_frames_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrovp.evaluation.futures.FRAMES", {"cpu": 12})
    futures = made(4, horizon=60)
    with undisturbed(), torch.no_grad():
        _, *alone = futures.draw(range(1))
        _, *folded = futures.draw(range(1, 4))
    assert max(chunk.frames.shape[1] for chunk in alone) == CHUNK
    assert all(chunk.frames[:, :, 0, 0, 0].numel() <= 12 for chunk in folded)
    assert sum(chunk.frames.shape[1] for chunk in folded) == 60
