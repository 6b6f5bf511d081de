"""Charts: what is on the figures, and that the files are whole pictures."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from pyrovp.draw import curves_png, levels_png, training_png
from pyrovp.draw.curves import curves_figure
from pyrovp.draw.levels import levels_figure
from pyrovp.draw.training import training_figure
from pyrovp.metrics import default, metrics_table


def table(sequences: int = 4, horizon: int = 6) -> dict:
    """Three rows; metrics.json as it comes back from a file."""
    shape = sequences, horizon
    scores = {
        name: {"psnr": 20 + torch.randn(shape), "ssim": torch.rand(shape)}
        for name in ("model", "copy_last", "black")
    }
    return json.loads(json.dumps(metrics_table(default(36, horizon), scores)))


def check_picture(path: Path, figure: Figure) -> None:
    """The only file, a whole PNG of the figure's size, and not blank."""
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == tuple((figure.get_size_inches() * figure.dpi).round())
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def x_of(line: Line2D) -> list[float]:
    return np.asarray(line.get_xdata()).tolist()


def y_of(line: Line2D) -> list[float]:
    return np.asarray(line.get_ydata()).tolist()


def test_curves(tmp_path: Path) -> None:
    made = table()
    figure = curves_figure(made)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "PSNR [dB] (clipped)", "SSIM (svg, clipped)",
    ]  # fmt: skip
    for axes, metric in zip(figure.axes, ["psnr", "ssim"], strict=True):
        assert [line.get_label() for line in axes.lines] == ["model", "copy last", "black"]
        assert "predicted frame" in axes.get_xlabel()
        for line, band, row in zip(
            axes.lines, axes.collections, made["rows"].values(), strict=True
        ):
            assert x_of(line) == [1, 2, 3, 4, 5, 6]
            assert y_of(line) == row[metric]["per_frame"]
            corners = np.asarray(band.get_paths()[0].vertices)
            above = np.add(y_of(line), row[metric]["per_frame_standard_error"])
            assert corners[:, 1].max() == pytest.approx(above.max()), "one standard error away"
    assert [text.get_text() for text in figure.legends[0].texts] == ["model", "copy last", "black"]
    assert default(36, 6).hash in figure.get_suptitle()
    curves_png(tmp_path / "curves.png", made)
    check_picture(tmp_path / "curves.png", figure)


@pytest.mark.parametrize(("sequences", "horizon"), [(1, 6), (3, 1)])
def test_curves_without_errors_or_with_one_frame(
    tmp_path: Path, sequences: int, horizon: int
) -> None:
    made = table(sequences, horizon)
    made["rows"]["model"]["psnr"]["per_frame"][0] = None
    curves_png(tmp_path / "curves.png", made)
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_levels(tmp_path: Path) -> None:
    kl = {1: torch.rand(4, 5), 2: torch.rand(4, 5) * torch.tensor([1.0, 0, 0, 1, 0])}
    gates = (torch.rand(4, 2, 12) > 0.5).float()
    gates[0] = torch.tensor([[1.0] * 12, [1.0] + [0] * 4 + [1] * 7])
    figure = levels_figure(kl, gates, sequences=2)
    information, rasters = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title("left")[:7] for axes in information] == ["level 2", "level 1"]
    for axes, level in zip(information, (2, 1), strict=True):
        heights = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]
        assert heights == pytest.approx(kl[level].mean(0).tolist())
        assert axes.get_ylabel() == "KL [nats]"
    assert len(rasters) == 2
    for i, axes in enumerate(rasters):
        shown = np.asarray(axes.images[0].get_array())
        assert np.array_equal(shown, gates[i].flip(0).numpy()), "the slowest level on top"
        vertical = [x_of(line) for line in axes.lines if len(set(x_of(line))) == 1]
        assert vertical == [[4.5, 4.5]], "before the first predicted frame"
        assert list(axes.get_xlim()) == [-0.5, 11.5]
    shares = [text.get_text() for text in rasters[0].child_axes[0].get_yticklabels()]
    assert shares == ["100% → 100%", "20% → 100%"]
    levels_png(tmp_path / "levels.png", kl, gates, sequences=2)
    check_picture(tmp_path / "levels.png", figure)


@pytest.mark.parametrize(("levels", "horizon"), [(1, None), (1, 3), (3, None), (3, 0)])
def test_levels_of_any_hierarchy(tmp_path: Path, levels: int, horizon: int | None) -> None:
    kl = {level: torch.rand(1, 5) for level in range(1, levels + 1)}
    gates = None if horizon is None else torch.ones(1, levels, 5 + horizon)
    levels_png(tmp_path / "levels.png", kl, gates)
    assert (tmp_path / "levels.png").stat().st_size > 0
    assert len(levels_figure(kl, gates).axes) == levels + (gates is not None)


def test_levels_refusals() -> None:
    with pytest.raises(ValueError, match="for every level"):
        levels_figure({})
    with pytest.raises(ValueError, match="for every level"):
        levels_figure({1: torch.rand(2, 5), 2: torch.rand(2, 4)})
    with pytest.raises(ValueError, match=r"\[B, L, Tc \+ horizon\]"):
        levels_figure({1: torch.rand(2, 5)}, torch.ones(2, 1, 4))


def rows(count: int) -> list[dict]:
    """As a training loop logs them."""
    return [
        {
            "step": 10 * i, "loss": 100.0 - i, "lr": 1e-3, "change_2": 0.25,
            "parts": {"frames": -90.0 + i, "z_1": 3.0, "z_2": 0.0, "e_2": 0.1},
        }
        for i in range(count)
    ]  # fmt: skip


def test_training(tmp_path: Path) -> None:
    figure = training_figure([*rows(5), {"step": 40, "validation": 98.0}])
    drawn = {axes.get_title("left"): axes for axes in figure.axes if axes.lines}
    assert list(drawn) == ["loss", "reconstruction", "KL of states", "KL of gates", "open gates"]
    assert [line.get_label() for line in drawn["loss"].lines] == ["loss", "validation"]
    assert [line.get_label() for line in drawn["KL of states"].lines] == ["level 1", "level 2"]
    assert x_of(drawn["loss"].lines[0]) == [0, 10, 20, 30, 40]
    assert y_of(drawn["loss"].lines[0]) == [100, 99, 98, 97, 96]
    assert y_of(drawn["open gates"].lines[0]) == [0.25] * 5
    assert drawn["KL of states"].get_ylabel() == "KL [nats per sequence]"
    training_png(tmp_path / "training.png", [*rows(5), {"step": 40, "validation": 98.0}])
    check_picture(tmp_path / "training.png", figure)


def test_training_draws_only_what_there_is() -> None:
    figure = training_figure([{"step": 1, "loss": 2.0}, {"step": 2, "loss": float("nan")}])
    assert [axes.get_title("left") for axes in figure.axes] == ["loss"]
    assert x_of(figure.axes[0].lines[0]) == [1], "what is no number is left out"


def test_training_smooths_long_series_without_lag() -> None:
    raw, smooth = training_figure([{"step": i, "loss": 5.0 - i} for i in range(100)]).axes[0].lines
    assert y_of(raw) == pytest.approx(y_of(smooth)), "a straight line stays where it is"
    noisy = [{"step": i, "loss": (-1.0) ** i} for i in range(400)]
    smooth = training_figure(noisy).axes[0].lines[1]
    assert max(map(abs, y_of(smooth)[20:-20])) < 0.1


def test_training_takes_the_later_of_two_rows_of_one_step() -> None:
    figure = training_figure([*rows(3), {"step": 10, "loss": 7.0}])
    assert y_of(figure.axes[0].lines[0]) == [100, 7, 98]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="need `step`"):
        training_figure([{"loss": 1.0}])
    with pytest.raises(ValueError, match="these metrics"):
        curves_figure(table(), ["lpips"])


def test_pyplot_holds_no_figure() -> None:
    curves_figure(table())
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
