"""Windows of evidence against sums written as loops."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.evidence import Ladder, encode, features_of, whole_windows, windows
from tests.oracles.tiny import close, randn


@pytest.mark.parametrize(
    ("frames", "period"), [*product([1, 2, 5, 6, 7], [1, 2, 3, 6]), (3, 64), (12, 6)]
)
def test_windows_sum_the_frames_that_are_there(frames: int, period: int) -> None:
    features = randn(2, frames, 3)
    actual = windows(features, period)
    expected = []
    for start in range(0, frames, period):  # a partial last window is a window
        total = torch.zeros(2, 3, dtype=torch.float64)
        for t in range(start, start + period):
            if t < frames:
                total = total + features[:, t]
        expected.append(total)
    assert actual.shape == (2, -(-frames // period), 3)
    close(actual, torch.stack(expected, 1))


@pytest.mark.parametrize(
    ("frames", "period"), list(product([1, 2, 5, 6, 7, 36], [1, 2, 3, 6, 36, 64]))
)
def test_whole_windows_end_within_the_frames(frames: int, period: int) -> None:
    inside = [start for start in range(0, frames, period) if start + period <= frames]
    assert whole_windows(frames, period) == len(inside)


def test_a_window_does_not_mix_sequences_or_features() -> None:
    features = torch.zeros(2, 4, 3)
    features[1, 2, 0] = 1
    assert windows(features, 2).nonzero().tolist() == [[1, 1, 0]]


def test_each_rung_is_made_of_the_one_below() -> None:
    lifts = [nn.Linear(3, 4).double(), nn.Linear(4, 2).double()]
    features = randn(2, 5, 3)
    rungs = Ladder(lifts)(features)
    assert [rung.shape[-1] for rung in rungs] == [3, 4, 2]
    assert torch.equal(rungs[0], features)
    close(rungs[1], lifts[0](features))
    close(rungs[2], lifts[1](lifts[0](features)))


def test_a_ladder_without_lifts_has_one_rung() -> None:
    features = randn(2, 5, 3)
    assert [rung is features for rung in Ladder([])(features)] == [True]


def test_encode_is_the_encoder_on_every_frame() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    video = randn(2, 4, 3, 2, 2)
    actual = encode(encoder, video)
    assert isinstance(actual, Tensor) and actual.shape == (2, 4, 3)
    for b, t in product(range(2), range(4)):
        close(actual[b, t], encoder(video[b, t][None])[0])


@pytest.mark.parametrize("features", [7, {8: 3, 1: 5}])
def test_an_encoder_says_what_its_features_are(features: Any) -> None:
    encoder = nn.Identity()
    encoder.features = features
    assert features_of(encoder) == features


def test_an_encoder_that_does_not_say_is_refused() -> None:
    with pytest.raises(ValueError, match="an encoder has an attribute `features`.* Flatten's is"):
        features_of(nn.Flatten())


def test_a_video_of_another_type_than_the_weights_is_refused() -> None:
    with pytest.raises(ValueError, match=r"video is torch.float64, .* weights are torch.float32"):
        encode(nn.Linear(2, 2).float(), torch.zeros(1, 2, 1, 2, 2).double())
