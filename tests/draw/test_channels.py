"""The picture of the channels: what is on it, and that it is a whole file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import StepPatch
from PIL import Image

from pyrovp.draw.channels import channels_figure, channels_png

KL = {
    1: torch.tensor([[0.0, 0.3, 0.02], [0.0, 0.1, 0.01]]),
    2: torch.rand(4, 300) ** 8,
}


def test_channels(tmp_path: Path) -> None:
    figure = channels_figure(KL)
    assert [axes.get_title("left")[:7] for axes in figure.axes] == ["level 2", "level 1"]
    for axes, level in zip(figure.axes, (2, 1), strict=True):
        (steps,) = (patch for patch in axes.patches if isinstance(patch, StepPatch))
        values = np.asarray(steps.get_data()[0])
        assert np.allclose(values, KL[level].double().mean(0).sort(descending=True).values.numpy())
        assert [float(np.asarray(line.get_ydata())[0]) for line in axes.lines] == [0.01, 0.15]
        assert axes.get_ylabel() == "KL [nats a frame]"
    title = figure.axes[1].get_title("left")
    assert "2 of 3 channels active, 1 maximally" in title and "mean 0.0717" in title
    channels_png(tmp_path / "channels.png", KL)
    assert [path.name for path in tmp_path.iterdir()] == ["channels.png"]
    with Image.open(tmp_path / "channels.png") as image:
        assert image.format == "PNG"
        assert image.size == tuple((figure.get_size_inches() * figure.dpi).round())


@pytest.mark.parametrize(
    "kl", [{1: torch.zeros(1, 1)}, {n: torch.rand(2, 9) for n in range(1, 8)}]
)
def test_channels_of_any_hierarchy(tmp_path: Path, kl: dict[int, torch.Tensor]) -> None:
    channels_png(tmp_path / "channels.png", kl)
    assert (tmp_path / "channels.png").stat().st_size > 0
    assert len(channels_figure(kl).axes) == len(kl)


@pytest.mark.parametrize("kl", [{}, {1: torch.zeros(4)}, {1: torch.zeros(0, 4)}])
def test_refusals(kl: dict[int, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"\[B, C\] for every level"):
        channels_figure(kl)
