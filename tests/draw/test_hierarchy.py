"""The picture of a hierarchy: its arrows against Pyro's own tracking, and no overlaps."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from pyro.infer.inspect import get_model_relations
from torch import nn

import pyrovp
from pyrovp import guides, models
from pyrovp.draw.hierarchy import draw_hierarchy, hierarchy_figure
from pyrovp.draw.unrolled import Arrow, Spot, frames_of, generated, inferred
from pyrovp.outline import LevelOutline, Outline
from pyrovp.render import FrameByFrame
from pyrovp.sites import parse
from tests.named import NAMED
from tests.systems import tiny_mixed


def built(name: str) -> tuple[Any, Any, int]:
    """Model, guide and the length of a clip."""
    if name == "mixed":
        model, guide = tiny_mixed()
        return model.float(), guide.float(), 6
    system = NAMED[name]
    torch.manual_seed(0)
    model = system.model()
    return model, system.guide(model), system.length


def short(arrows: list[Arrow]) -> set[str]:
    """Arrows as `z_2_4 > h_1_5`, with a ? where a gate decides."""
    return {
        f"{a.start.kind}_{a.start.level}_{a.start.t} > {a.end.kind}_{a.end.level}_{a.end.t}"
        + ("?" if a.may else "")
        for a in arrows
    }


@pytest.mark.parametrize("name", [*NAMED, "mixed"])
def test_arrows_are_what_pyro_finds(name: str) -> None:
    """A state's parents among the states, by way of memories and contexts."""
    model, _, length = built(name)
    space = model.hierarchy
    frames = space.scored(length)
    video = torch.rand(2, length, 1, 16, 16)
    found = get_model_relations(FrameByFrame(model), (video,))["sample_sample"]
    into = defaultdict(list)
    for arrow in generated(space.outline(), frames):
        into[arrow.end].append(arrow.start)
    contexts = any(v.kind == "c" for one in space.outline().levels for v in one.predicts)

    def above(n: int, t: int) -> set[str]:
        return {f"z_{m}_{t}" for m in range(n + 1, len(space.levels) + 1)}

    def parents(spot: Spot) -> set[str]:
        states = set()
        for start in into[spot]:
            n, t = start.level, start.t
            if start.kind == "z":
                states.add(f"z_{n}_{t}")
                if contexts and start.level > spot.level:  # a context holds those above, too
                    states |= {s for s in parents(start) if s in above(n, t)}
            elif start.kind == "held":
                tick = max(s for s in frames if s <= t and space.levels[n - 1].clock.ticks(
                    s - space.given))  # fmt: skip
                states |= {f"z_{n}_{tick}"} | parents(Spot("h", n, tick))
            elif start.kind == "h":
                states |= parents(start)
        return states

    for site, upstream in found.items():
        read = parse(site)
        if read is not None and read.kind == "z":
            truth = {s for s in upstream if s.startswith("z_")}
            assert parents(Spot("z", read.level, read.t)) == truth, site
    drawn = set().union(*(parents(Spot("x", 0, t)) for t in frames))
    assert {s for s in found["frames"] if s.startswith("z_")} == drawn


def test_clocks_hold() -> None:
    """CW-VAE, two levels: frame 1 sees what level 2 drew at frame 0."""
    model, guide, _ = built("tald")
    outline = model.hierarchy.outline()
    slow = [one.level.clock.period for one in outline.levels]
    assert slow == [1, 6]
    arrows = short(list(generated(outline, range(2))))
    assert arrows == {
        "h_2_0 > z_2_0", "held_2_0 > h_1_0", "held_2_1 > h_1_1", "h_1_0 > z_1_0",
        "h_1_1 > z_1_1", "h_1_0 > h_1_1", "z_1_0 > h_1_1", "held_1_0 > x_0_0", "held_1_1 > x_0_1",
    }  # fmt: skip
    seen = short(list(inferred(outline, guide.outline(), range(8))))
    assert {f"x_0_{t} > z_2_0" for t in range(6)} | {"x_0_6 > z_2_6", "x_0_7 > z_2_6"} <= seen
    assert "x_0_6 > z_2_0" not in seen and "h_2_6 > z_2_6" in seen


def test_gates_may() -> None:
    """DLH: a gate stands between the last state and this one, under the gate below."""
    model, guide, _ = built("dlh")
    outline = model.hierarchy.outline()
    arrows = short(list(generated(outline, range(2))))
    assert {a for a in arrows if "e_" in a} == {
        "z_2_0 > e_2_1?", "e_2_1 > z_2_1?", "h_2_1 > e_2_1",
        "z_3_0 > e_3_1?", "e_3_1 > z_3_1?", "h_3_1 > e_3_1", "e_2_1 > e_3_1?",
    }  # fmt: skip
    assert "z_2_1 > z_1_1" in short(list(inferred(outline, guide.outline(), range(2))))


def test_levels_that_read_frames() -> None:
    """HVRNN: frames move memories, and every state reaches every level below."""
    model, guide, _ = built("hvrnn")
    outline = model.hierarchy.outline()
    frames = frames_of(outline, 4)
    assert frames == range(2, 4)
    arrows = short(list(generated(outline, frames)))
    for n in (1, 2, 3):
        assert {f"x_0_0 > h_{n}_2", f"x_0_1 > h_{n}_2", f"x_0_2 > h_{n}_3"} <= arrows
        assert f"z_{n}_3 > x_0_3" in arrows and f"z_{n}_2 > h_{n}_3" not in arrows
    assert "z_3_3 > z_1_3" in arrows and "x_0_2 > x_0_3" in arrows
    seen = short(list(inferred(outline, guide.outline(), frames)))
    assert {"x_0_3 > q_1_3", "q_1_2 > q_1_3", "q_1_3 > z_1_3", "z_3_3 > z_1_3"} <= seen


def test_boundaries() -> None:
    """VTA: what level 1 held decides about level 2, and the guide looks ahead in a segment."""
    model, guide, _ = built("vta")
    outline, given = model.hierarchy.outline(), model.hierarchy.given
    frames = range(given, given + 2)
    arrows = short(list(generated(outline, frames)))
    assert {f"held_1_{given} > e_2_{given + 1}", f"x_0_{given - 1} > h_2_{given}"} <= arrows
    seen = short(list(inferred(outline, guide.outline(), frames)))
    assert f"q_2_{given + 1} > q_2_{given}?" in seen and f"q_1_{given} > q_1_{given + 1}?" in seen


@pytest.mark.parametrize("name", [*NAMED, "mixed"])
def test_nothing_overlaps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts stand inside the page and beside one another, narrow enough for a telephone."""
    model, guide, _ = built(name)
    figure = hierarchy_figure(model.hierarchy.outline(), guide.outline(), frames=8)
    assert figure.get_figwidth() < 6.0
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    assert min(float(text.get_fontsize()) for text in texts) >= 8
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for i, box in enumerate(boxes):
        inside = figure.bbox.padded(0.5)
        assert inside.contains(*box.min) and inside.contains(*box.max), texts[i].get_text()
        for j in range(i):
            assert not box.padded(-1).overlaps(boxes[j].padded(-1)), (
                texts[i].get_text(),
                texts[j].get_text(),
            )


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_files(suffix: str, tmp_path: Path) -> None:
    model, guide, _ = built("rssm")
    path = tmp_path / f"hierarchy.{suffix}"
    figure = pyrovp.draw_hierarchy(model, guide, path=path, frames=3)
    assert {path} == set(tmp_path.iterdir())
    content = path.read_bytes()
    draw_hierarchy(model.hierarchy, guide, path=path, frames=3)
    assert path.read_bytes() == content, "the same picture is the same file"
    if suffix == "png":
        with Image.open(path) as image:
            assert image.width == pytest.approx(220 * figure.get_figwidth(), abs=1)
    elif suffix == "svg":
        assert ">level 1</text>" in path.read_text(), "letters stay letters"


def test_without_a_guide() -> None:
    """One panel; and a state space that says nothing of its wiring shows its levels."""
    model, guide, _ = built("dlh")
    alone, both = draw_hierarchy(model, frames=3), draw_hierarchy(model, guide, frames=3)
    assert alone.get_figheight() < both.get_figheight()
    levels = tuple(LevelOutline(level) for level in model.hierarchy.levels)
    words = {
        t.get_text()
        for t in hierarchy_figure(Outline(levels), frames=3).findobj(Text)
        if isinstance(t, Text)
    }
    assert {"level 1", "level 2", "level 3"} <= words


@pytest.mark.parametrize(
    "given, said",
    [
        ({"path": "hierarchy.jpg"}, "svg, png, pdf"),
        ({"frames": 0}, "1 or more frames, got frames=0"),
        ({"model": nn.Linear(1, 1)}, "got a Linear"),
    ],
)
def test_refuses(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        draw_hierarchy(**{"model": built("rssm")[0]} | given)


def test_sizes_of_the_papers() -> None:
    """Nothing is computed for a picture: parameters without memory will do."""
    with torch.device("meta"):
        model = models.hvrnn()
        guide = guides.hvrnn(model)
    words = {
        t.get_text() for t in draw_hierarchy(model, guide).findobj(Text) if isinstance(t, Text)
    }
    assert "z 512\N{MULTIPLICATION SIGN}8\N{MULTIPLICATION SIGN}8" in words
