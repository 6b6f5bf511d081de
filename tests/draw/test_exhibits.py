"""What analyses show: the written files are opened again, the figures looked into."""

import csv
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import colors
from PIL import Image
from torch import Tensor

from pyrovp.analysis.findings import Curve, Findings, Line, Raster, Strip, Table
from pyrovp.draw import draw
from pyrovp.draw.exhibits import Exhibit
from pyrovp.draw.frames import BORDER, CONTEXT, PREDICTED, to_rgb
from pyrovp.draw.lines import curve_figure
from pyrovp.draw.rasters import raster_figure

NAN = math.nan
CURVE = Curve(
    title="KL of the states",
    x="frame",
    y="KL [nats]",
    lines={"z_1": Line([1, 2, NAN, 4], [0, 1, NAN, 3], [2, 3, NAN, 6]), "z_2": Line([5], x=[2.5])},
    marks={"context ends": 1.5},
)
RASTER = Raster(
    "Gates", {"a": torch.tensor([1.0, 0, 0, 0]), "b": torch.tensor([0.5, 1, 0, NAN])}, 7
)
TABLE = Table("T", ["what, exactly", "KL [nats]"], [['a "b"', 1 / 3], ["c\nd", None], ["e", NAN]])


def strip(length: int = 6, seen: int = 2, rows: int = 2, channels: int = 1) -> Strip:
    frames = torch.rand(rows, length, channels, 32, 32)
    return Strip("A strip", {f"row {i}": frames[i] for i in range(rows)}, start=3, seen=seen)


def borders(image: Image.Image, y: int) -> list[tuple[tuple[int, ...], int]]:
    """Runs of border colour along a row of pixels."""
    pixels = map(tuple, np.asarray(image.convert("RGB"))[y].tolist())
    runs = [(colour, len(list(run))) for colour, run in itertools.groupby(pixels)]
    return [run for run in runs if run[0] in (CONTEXT, PREDICTED) and run[1] > BORDER]


def tops(image: Image.Image) -> list[int]:
    """The first row of pixels of each line of tiles."""
    wide = 32 * 4 + 2 * BORDER
    lines = [y for y in range(image.height) if any(n >= wide for _, n in borders(image, y))]
    return [y for y in lines if y - 1 not in lines and {y + 1, y + 2} <= set(lines)][::2]


def tile(image: Image.Image, y: int, index: int) -> np.ndarray:
    """The pixels of a tile in the line that starts at y."""
    pixels = np.asarray(image.convert("RGB"))[y]
    edge = [tuple(pixel) in (CONTEXT, PREDICTED) for pixel in pixels.tolist()]
    starts = [x for x, on in enumerate(edge) if on and not edge[x - 1]]
    left, top = starts[index] + BORDER, y + BORDER
    return np.asarray(image.convert("RGB"))[top : top + 128, left : left + 128]


def large(frame: Tensor) -> np.ndarray:
    return to_rgb(frame).repeat(4, 0).repeat(4, 1)


def test_every_form_has_its_files(tmp_path: Path) -> None:
    exhibits: dict[str, Exhibit] = {
        "kl": CURVE,
        "swap_0.1": strip(),
        "still": strip(1),
        "gates": RASTER,
        "t": TABLE,
    }
    files = draw(Findings({}, exhibits).exhibits, tmp_path / "made" / "for_it")
    names = ["kl.png", "swap_0.1.png", "swap_0.1.gif", "still.png", "gates.png", "t.csv"]
    assert [path.name for path in files] == names
    assert [path.stem for path in files if path.suffix != ".gif"] == list(exhibits)
    assert sorted(path.name for path in files[0].parent.iterdir()) == sorted(names)
    for path in files[:-1]:
        with Image.open(path) as image:
            assert image.format == path.suffix[1:].upper()
            assert len(np.unique(np.asarray(image.convert("L")))) > 10, "not blank"


def test_a_curve() -> None:
    figure = curve_figure(CURVE)
    (axes,) = figure.axes
    assert (axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel()) == (
        "KL of the states", "frame", "KL [nats]",
    )  # fmt: skip
    first, second, mark = axes.lines
    points = np.array([[0, 1], [1, 2], [2, NAN], [3, 4]])
    assert np.array_equal(np.asarray(first.get_xydata()), points, equal_nan=True)
    assert np.asarray(second.get_xydata()).tolist() == [[2.5, 5]]
    assert first.get_color() != second.get_color()
    assert np.asarray(mark.get_xdata()).tolist() == [1.5, 1.5]
    assert "context ends" in [text.get_text() for text in axes.texts]
    (band,) = axes.collections
    assert np.asarray(band.get_facecolor())[0, :3] == pytest.approx(
        colors.to_rgb(first.get_color())
    )
    heights = np.concatenate([np.asarray(path.vertices)[:, 1] for path in band.get_paths()])
    assert (heights.min(), heights.max()) == (0, 6)
    assert [text.get_text() for text in figure.legends[0].texts] == ["z_1", "z_2"]


@pytest.mark.parametrize(("x", "scale"), [([1, 10, 100], "log"), ([0, 10, 100], "symlog")])
def test_a_logarithmic_axis_loses_no_point(x: list[float], scale: str) -> None:
    (axes,) = curve_figure(Curve("t", "x", "y", {"a": Line([1, 2, 3], x=x)}, log=True)).axes
    assert axes.get_xscale() == scale
    assert np.isfinite(axes.transData.transform(np.asarray(axes.lines[0].get_xydata()))).all()


def test_many_lines_differ() -> None:
    curve = replace(CURVE, lines={str(i): Line([i, i]) for i in range(20)}, marks={})
    (axes,) = curve_figure(curve).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 20


@pytest.mark.parametrize(("seen", "channels"), [(0, 1), (2, 3), (6, 1)])
def test_a_strip_shows_its_frames(tmp_path: Path, seen: int, channels: int) -> None:
    made = strip(6, seen, 2, channels)
    draw({"strip": made}, tmp_path)
    with Image.open(tmp_path / "strip.png") as image:
        lines = tops(image)
        assert len(lines) == 2
        for y, frames in zip(lines, made.rows.values(), strict=True):
            wide = [colour for colour, n in borders(image, y) if n >= 128]
            assert wide == [CONTEXT] * seen + [PREDICTED] * (6 - seen)
            for t in (0, 5):
                assert np.array_equal(tile(image, y, t), large(frames[t]))


def test_a_long_strip_shows_its_ends_and_the_first_frames_that_were_not_given(
    tmp_path: Path,
) -> None:
    made = strip(40, 10, 1)
    draw({"strip": made}, tmp_path)
    with Image.open(tmp_path / "strip.png") as image:
        (y,) = tops(image)
        wide = [colour for colour, n in borders(image, y) if n >= 128]
        assert wide == [CONTEXT] * 3 + [PREDICTED] * 9
        frames = made.rows["row 0"]
        for index, t in [(0, 0), (2, 9), (3, 10), (4, 11), (11, 39)]:
            assert np.array_equal(tile(image, y, index), large(frames[t]))


def test_the_moving_picture_has_all_frames(tmp_path: Path) -> None:
    made = strip(20, 5, 7)
    draw({"strip": made}, tmp_path)
    with Image.open(tmp_path / "strip.gif") as film:
        assert getattr(film, "n_frames", 1) == 20 and film.info["loop"] == 0
        for t in (0, 4, 5, 19):
            film.seek(t)
            first, second = tops(film)
            colour = CONTEXT if t < 5 else PREDICTED
            assert [run[0] for run in borders(film, first) if run[1] >= 128] == [colour] * 4
            assert [run[0] for run in borders(film, second) if run[1] >= 128] == [colour] * 3
            shown = tile(film, second, 2).astype(float)
            # The 256 colours of a GIF are worth about 4 of 255.
            assert abs(shown - large(made.rows["row 6"][t])).mean() < 6


def test_a_still_film_keeps_its_frames(tmp_path: Path) -> None:
    draw({"strip": Strip("still", {"a": torch.zeros(9, 1, 8, 8)})}, tmp_path)
    with Image.open(tmp_path / "strip.gif") as film:
        assert getattr(film, "n_frames", 1) == 9


def test_a_title_that_is_longer_than_the_picture_is_broken(tmp_path: Path) -> None:
    short, long = strip(1, rows=1), replace(strip(1, rows=1), title="many words " * 12)
    draw({"short": short, "long": long}, tmp_path)
    with Image.open(tmp_path / "short.png") as one, Image.open(tmp_path / "long.png") as two:
        assert one.width == two.width and one.height < two.height


def test_a_raster() -> None:
    figure = raster_figure(RASTER)
    (axes,) = figure.axes
    values: np.ma.MaskedArray = np.ma.asanyarray(axes.images[0].get_array())
    shown: np.ndarray = np.ma.masked_invalid(values).filled(NAN)
    expected = np.array([[1, 0, 0, 0], [0.5, 1, 0, NAN]])
    assert np.array_equal(shown, expected, equal_nan=True)
    assert list(axes.images[0].get_extent()) == [6.5, 10.5, 2, 0], (
        "frames 7 to 10, the first row on top"
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    means = [label.get_text() for label in axes.child_axes[0].get_yticklabels()]
    assert means == ["25%", "50%"]


def test_a_table_is_read_back(tmp_path: Path) -> None:
    draw({"table": TABLE}, tmp_path)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    assert columns == ["what, exactly", "KL [nats]"]
    assert rows == [['a "b"', repr(1 / 3)], ["c\nd", ""], ["e", ""]], "all digits; None is empty"


REFUSED = {
    "a path": ({"../kl": CURVE}, "names its files"),
    "a hidden file": ({".kl": CURVE}, "names its files"),
    "another form": ({"kl": [1, 2]}, "is a list; what is shown is a Table, Curve"),
    "no line": ({"kl": replace(CURVE, lines={})}, "has no line"),
    "an empty line": ({"kl": replace(CURVE, lines={"a": Line([])})}, "at least one"),
    "a short band": (
        {"kl": replace(CURVE, lines={"a": Line([1, 2], [1, 1], [2])})}, "'low': 2, 'high': 1",
    ),
    "other places": ({"kl": replace(CURVE, lines={"a": Line([1, 2], x=[0])})}, "'x': 1, 'y': 2"),
    "no film": ({"kl": Strip("s", {})}, r"\[T, C, H, W\]"),
    "films of two lengths": (
        {"kl": Strip("s", {"a": torch.rand(2, 1, 8, 8), "b": torch.rand(3, 1, 8, 8)})},
        r"\[3, 1, 8, 8\]",
    ),
    "two channels": ({"kl": Strip("s", {"a": torch.rand(2, 2, 8, 8)})}, "one channel"),
    "rasters of two lengths": (
        {"kl": Raster("r", {"a": torch.rand(2), "b": torch.rand(3)})}, r"one length.*\[3\]",
    ),
    "more than one": ({"kl": Raster("r", {"a": torch.tensor([0.0, 1.5])})}, r"0 and 1\.5"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    exhibits, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        draw(exhibits, tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
