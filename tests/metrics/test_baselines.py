"""Baselines: the right frames, the right shapes, the same draw for the same seed."""

import pytest
import torch

from pyrovp.metrics import baselines, black, copy_last, random_sequence, training_mean

CONTEXT = torch.rand(3, 4, 2, 5, 6, dtype=torch.float64)


def numbered(clips: int, length: int) -> torch.Tensor:
    """Training clips whose every pixel says its clip and its frame: 100 clip + frame."""
    number = 100 * torch.arange(clips)[:, None] + torch.arange(length)
    return number[:, :, None, None, None].double().expand(-1, -1, *CONTEXT.shape[2:]).clone()


def test_shapes_and_names() -> None:
    made = baselines(CONTEXT, 7, torch.rand(5, 9, 2, 5, 6))
    assert list(made) == ["copy_last", "black", "training_mean", "random_sequence"]
    for prediction in made.values():
        assert prediction.shape == (3, 7, 2, 5, 6)
        assert prediction.dtype == CONTEXT.dtype


def test_constant_baselines() -> None:
    assert torch.equal(copy_last(CONTEXT, 7), torch.stack([CONTEXT[:, -1]] * 7, 1))
    assert not black(CONTEXT, 7).any()
    mean = training_mean(CONTEXT, 7, numbered(3, 4))
    torch.testing.assert_close(mean, torch.full_like(mean, 100 + 1.5))


def test_constant_baselines_are_views() -> None:
    for prediction in (copy_last(CONTEXT, 7), black(CONTEXT, 7)):
        assert prediction.stride(1) == 0, "no copy per predicted frame"
    assert copy_last(CONTEXT, 7).data_ptr() == CONTEXT[:, -1].data_ptr()


@pytest.mark.parametrize("horizon", [1, 6, 9, 10, 25])
def test_random_sequences_are_runs_of_training_clips(horizon: int) -> None:
    length = 9
    prediction = random_sequence(CONTEXT, horizon, numbered(5, length), seed=1)
    assert prediction.shape == (3, horizon, 2, 5, 6)
    number = prediction[:, :, 0, 0, 0]
    assert (prediction == number[:, :, None, None, None]).all(), "whole frames"
    clip, frame = number // 100, number % 100
    steps = frame.diff(dim=1)
    same = clip.diff(dim=1) == 0
    assert (steps[same] % length == 1).all(), "time runs forward within a clip"
    assert (frame[:, 1:][~same] == 0).all(), "the next clip begins at its first frame"
    assert (frame[:, :-1][~same] == length - 1).all(), "and only where one ended"
    if horizon <= length:
        assert same.all(), "one clip where it is long enough"
    if horizon == 25:
        assert not same.all(), "further clips are other draws"


def test_the_draw_depends_on_the_seed_alone() -> None:
    training = torch.rand(20, 9, 2, 5, 6)
    first = random_sequence(CONTEXT, 5, training, seed=3)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(first, random_sequence(CONTEXT, 5, training, seed=3))
    assert torch.equal(torch.get_rng_state(), state), "the ambient generator is left alone"
    assert not torch.equal(first, random_sequence(CONTEXT, 5, training, seed=4))


def test_every_clip_and_start_is_drawn() -> None:
    context = torch.zeros(600, 1, 2, 5, 6)
    number = random_sequence(context, 7, numbered(3, 9))[:, 0, 0, 0, 0]
    # 9 equally likely values; one of them missing in 600 draws: below 1e-29
    assert set(number.tolist()) == {100 * c + s for c in range(3) for s in range(3)}


def test_refusals() -> None:
    with pytest.raises(ValueError, match="horizon of at least 1"):
        black(CONTEXT, 0)
    with pytest.raises(ValueError, match="same data set"):
        training_mean(CONTEXT, 3, torch.rand(4, 5, 1, 5, 6))
    with pytest.raises(ValueError, match=r"\[B, T, C, H, W\]"):
        copy_last(CONTEXT[0], 3)
    with pytest.raises(ValueError, match="divide uint8"):
        random_sequence(CONTEXT, 3, torch.zeros(2, 3, 2, 5, 6, dtype=torch.uint8))


def test_some_frames_of_a_random_sequence_are_those_of_the_whole() -> None:
    known = numbered(4, 5)
    whole = random_sequence(CONTEXT, 13, known, seed=3)
    for span in (range(0, 4), range(4, 13), range(12, 13)):
        part = random_sequence(CONTEXT, 13, known, seed=3, frames=span)
        assert torch.equal(part, whole[:, span.start : span.stop])
    with pytest.raises(ValueError, match="frames 0 to 12, got range"):
        random_sequence(CONTEXT, 13, known, frames=range(12, 14))
