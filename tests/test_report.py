"""A run on one page: what is on it, that it needs nothing else, and that text stays text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pyrovp.analysis.findings import Curve, Findings, Line, Strip, Table
from pyrovp.analysis.record import record
from pyrovp.draw import draw
from pyrovp.errors import RunError
from pyrovp.metrics import default, metrics_table
from pyrovp.report import write_report
from pyrovp.report.__main__ import main

VOID = {"br", "img", "link", "meta"}
HOSTILE = "</script><script>alert(\"1\")</script><img src=x onerror=alert(1)> & 'quoted'"


class Page(HTMLParser):
    """The page, read by a parser: elements with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.inside: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.inside[self.open[-1]] = data
        else:
            self.text.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def table(horizon: int = 6) -> dict[str, Any]:
    scores = {
        name: {"psnr": 20 + torch.randn(4, horizon), "ssim": torch.rand(4, horizon)}
        for name in ("model", "copy_last")
    }
    return metrics_table(default(36, horizon), scores)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def picture(path: Path, kind: str = "PNG", width: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))  # no two pictures are alike
    pixels = rng.integers(0, 255, (4, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, kind)


FINDINGS = Findings(
    {"rate": {"e_2": 0.25}, "none": None},
    {
        "gates": Table("Gates of it", ["gate", "rate"], [["e_2", 0.25], ["e_3", None]]),
        "kl": Curve("KL of it", "frame", "nats", {"z_1": Line([1.0, 2.0])}),
        "film": Strip("Film of it", {"truth": torch.rand(2, 1, 8, 8)}),
    },
    ["gate 2 opens at a quarter of the frames"],
)


def answer(folder: Path, findings: Findings = FINDINGS, step: int = 800) -> None:
    asked = {"analysis": {"_target_": "pyrovp.analysis.GateRaster", "shown": 4}, "clips": 16,
             "length": 48, "context": 12, "seed": 0, "weights": "last", "step": step}  # fmt: skip
    made = record(findings, draw(findings.exhibits, folder))
    write(folder / "findings.json", {"asked": asked, "environment": {"torch": "9.9"}} | made)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished run, asked and evaluated once."""
    folder = tmp_path / "dlh-moving_digits-1f0c9a2b" / "seed0"
    write(folder / "config.yaml", "model:\n  _target_: pyrovp.models.dlh\n  levels: 2\n")
    facts = {
        "model": "dlh", "data": "moving_digits", "source": "UCI digits", "step": 800,
        "parameters": 1761058, "kl_per_sequence": {"z_1": 114.6, "z_2": 14.2},
        "change_rate": {"e_2": {"context": 0.63, "prediction": 0.64}},
        "channels": {"z_1": {"active": 16, "channels": 17}, "z_2": {"active": 1, "channels": 18}},
    }  # fmt: skip
    write(folder / "metrics.json", facts | table())
    log = [{"step": 20 * i, "loss": 9.0 - i, "seconds": 10.0 * i, "parts": {"z_1": 1.0}}
           for i in range(1, 5)]  # fmt: skip
    write(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in log))
    write(folder / "done.json", {"steps": 800})
    for name in ("predictions.png", "curves.png", "levels.png", "channels.png", "training.png"):
        picture(folder / name)
    picture(folder / "predictions.gif", "GIF")
    answer(folder / "analyses" / "gate_raster")
    write(folder / "evaluations/cwvae-0123/metrics.json", table(9) | {"sentences": ["so said"]})
    picture(folder / "evaluations/cwvae-0123/samples.gif", "GIF")
    return folder


def page(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_everything_is_on_it(run: Path) -> None:
    assert write_report(run) == run / "report.html"
    words = page(run).words
    for said in (
        "dlh on moving_digits, seed0", "UCI digits", "1,761,058", "800 steps", "40 s", "finished",
        "Predictions Scores Levels Training Evaluations Analyses Configuration Environment",
        "copy last", "PSNR [dB] (clipped), 6 frames", "16", "17", "0.63",
        "cwvae-0123", "so said", "PSNR [dB] (clipped), 9 frames",
        "gate_raster", "shown 4, clips 16, length 48", "gate 2 opens at a quarter of the frames",
        "Gates of it", "KL of it", "Film of it", "rate.e_2", "0.25",
        "_target_: pyrovp.models.dlh", "torch 9.9", "this page",
    ):  # fmt: skip
        assert said in words, said
    assert "cannot be" not in words and "not known" not in words


def test_every_picture_is_in_it_byte_by_byte(run: Path) -> None:
    shown = set()
    for image in page(run).all("img"):
        kind, _, encoded = image["src"].partition(";base64,")
        content = base64.b64decode(encoded, validate=True)
        assert kind == ("data:image/png" if content.startswith(b"\x89PNG") else "data:image/gif")
        assert image["alt"] and int(image["width"]) > 0 and int(image["height"]) > 0
        shown.add(content)
    files = {path.read_bytes() for path in run.rglob("*") if path.suffix in (".png", ".gif")}
    assert shown == files and len(files) == 10


def test_it_needs_nothing_else(run: Path) -> None:
    found = page(run)
    for _, attributes in found.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes
        assert "style" not in attributes and not any(key.startswith("on") for key in attributes)
    assert not re.search(r"url\(|@import|https?:|fetch|import", found.inside["style"])
    assert not re.search(r"https?:|fetch|import|XMLHttp|eval", found.inside["script"])
    targets = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    assert {link["href"][1:] for link in found.all("a")} == targets


def test_the_policy_lets_only_its_own_style_and_script_run(run: Path) -> None:
    found = page(run)
    (policy,) = [m["content"] for m in found.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for name in ("style", "script"):
        digest = hashlib.sha256(found.inside[name].encode()).digest()
        assert f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
        assert len(found.all(name)) == 1


def test_small_and_large_screens_light_and_dark(run: Path) -> None:
    found = page(run)
    assert any(meta.get("name") == "viewport" for meta in found.all("meta"))
    style = found.inside["style"]
    assert "prefers-color-scheme: dark" in style and "max-width: 45rem" in style
    picture(run / "analyses/gate_raster/kl.png")
    for width, wide in [(699, 0), (700, 1)]:
        picture(run / "curves.png", width=width)
        frames = [div["class"] for div in page(run).all("div") if "frame" in div.get("class", "")]
        assert frames.count("frame wide") == wide


def test_figures_are_sorted_by_their_numbers(run: Path) -> None:
    facts = json.loads((run / "metrics.json").read_text())
    values = [float(cell["data-value"]) for cell in page(run).all("td") if "data-value" in cell]
    for row in facts["rows"].values():
        for metric in ("psnr", "ssim"):
            assert {row[metric]["mean"], row[metric]["first_mean"]} <= set(values)
    assert "sortable" in [t.get("class") for t in page(run).all("table")]


def test_text_stays_text(run: Path) -> None:
    before = {tag for tag, _ in page(run).elements}
    facts = json.loads((run / "metrics.json").read_text())
    facts |= {"model": HOSTILE, "data": HOSTILE, "source": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}}
    facts["labels"]["psnr"] = HOSTILE
    facts["rows"][HOSTILE] = facts["rows"].pop("model")
    write(run / "metrics.json", facts)
    write(run / "config.yaml", HOSTILE)
    findings = Findings(
        {HOSTILE: HOSTILE}, {"t": Table(HOSTILE, [HOSTILE], [[HOSTILE]])}, [HOSTILE]
    )
    answer(run / "analyses" / "hostile", findings)
    found = page(run)
    assert len(found.all("script")) == 1 and "alert" not in found.inside["script"]
    assert {tag for tag, _ in found.elements} == before
    assert all("onerror" not in attributes for _, attributes in found.elements)
    assert found.words.count(HOSTILE) >= 10


def test_a_run_that_is_under_way(run: Path) -> None:
    for name in ("metrics.json", "done.json", "training.png", "predictions.gif"):
        (run / name).unlink()
    found = page(run)
    assert "not finished" in found.words and "no figures yet" in found.words
    assert "dlh on moving_digits, seed0" in found.words, "as its folder is called"
    (drawn,) = [image for image in found.all("img") if "steps of training" in image["alt"]]
    assert int(drawn["width"]) > 100, "drawn from the log"
    assert not (run / "training.png").exists()


def test_a_configuration_is_enough(tmp_path: Path) -> None:
    write(tmp_path / "config.yaml", "a: 1")
    found = page(tmp_path)
    assert "a: 1" in found.words and "Analyses" not in found.words and not found.all("img")


def test_what_is_damaged_is_noted(run: Path) -> None:
    write(run / "metrics.json", '{"rows": {"model"')
    write(run / "evaluations/other.json", "[1]")
    write(run / "evaluations/cwvae-0123/metrics.json", {"rows": {"model": 3}, "labels": "?"})
    write(run / "analyses/gate_raster/findings.json", {
        "asked": 3, "facts": {"kept": 1},
        "exhibits": {
            "odd": {"form": "?"}, "t": {"title": "T", "columns": ["a"], "rows": [[1, 2]]},
        },
    })  # fmt: skip
    (run / "levels.png").write_bytes(b"")
    (run / "analyses/gate_raster/kl.png").unlink()
    words = page(run).words
    for said in ("metrics.json cannot be read", "other.json holds a list", "scores: of a form",
                 "question: of a form", "odd: of a form", "t: of a form", "kept",
                 "levels.png cannot be shown: it is no picture"):  # fmt: skip
        assert said in words, said


def test_a_picture_that_is_gone_is_noted(run: Path) -> None:
    (run / "analyses/gate_raster/kl.png").unlink()
    assert "kl.png cannot be shown: [Errno 2]" in page(run).words


def test_a_picture_outside_the_run_is_not_shown(run: Path) -> None:
    picture(run.parent / "secret.png")
    found = json.loads((run / "analyses/gate_raster/findings.json").read_text())
    found["exhibits"]["kl"]["files"] = ["../../../secret.png"]
    write(run / "analyses/gate_raster/findings.json", found)
    encoded = base64.b64encode((run.parent / "secret.png").read_bytes()).decode()
    assert encoded not in write_report(run).read_text()


def test_answers_of_earlier_weights_say_so(run: Path) -> None:
    assert "steps since" not in page(run).words
    answer(run / "analyses" / "gate_raster", step=400)
    words = page(run).words
    assert "after 400 steps" in words and "has been trained to 800 steps since" in words


def test_the_same_folder_makes_the_same_page(run: Path) -> None:
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    assert f"{run / 'report.html'} (" in capsys.readouterr().out
    (run / "report.html").unlink()
    assert main([str(run.parents[1])]) == 0 and (run / "report.html").exists()


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match=r"no readable config\.yaml .*; give"):
        write_report(tmp_path)
    assert main([str(tmp_path / "nothing")]) == 2
    assert "error: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_page_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        (tmp_path / f"seed{seed}").mkdir()
        (tmp_path / f"seed{seed}/config.yaml").write_text("seed: 0")
    (tmp_path / "seed0/config.yaml").write_bytes(b"\xff")
    assert main([str(tmp_path)]) == 2
    assert "seed0 is no folder of a run" in capsys.readouterr().err
    assert (tmp_path / "seed1/report.html").exists()
