"""The command that compares runs: its files, what it says, and what a user may get wrong."""

import csv
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from experiments import compare
from pyrovp.compare import comparison
from tests.compare.handmade import CWVAE, PROTOCOL, run
from tests.experiments.tiny import Outcome

Compare = Callable[..., Outcome]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Compare:
    """Runs `experiments/compare.py` in this process."""

    def call(*arguments: object, pictures: bool = False) -> Outcome:
        if not pictures:  # drawing takes longer than all the rest
            for name in ("scores_png", "ranks_png"):
                monkeypatch.setattr(comparison, name, lambda path, *_: path.touch())
        out = tmp_path / "comparison"
        given = list(map(str, arguments))
        if not any(argument.startswith("out=") for argument in given):
            given.append(f"out={out}")
        monkeypatch.setattr(sys, "argv", ["compare.py", *given])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capsys.readouterr()
        code = 0
        try:
            compare.main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        output, errors = capsys.readouterr()
        return Outcome(code, output, errors, out)

    return call


def lines(text: str, start: str) -> list[str]:
    """Cells of the first line of a Markdown table that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_files_and_figures(call: Compare, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed, psnr in enumerate((19.0, 20.0, 21.0)):
        run(runs, "cwvae", seed, psnr=psnr, kl_per_sequence={"z_1": 10.0 + seed})
    run(runs, "dlh", psnr=22.0, ssim=0.4, average=18.0)
    run(runs, "rssm", data="moving_mnist", protocol=CWVAE)
    (runs / "multirun.yaml").write_text("")  # which a sweep of Hydra's leaves
    outcome = call(*sorted(runs.iterdir()), pictures=True)
    assert outcome.code == 0, outcome.errors
    text = (outcome.out / "comparison.md").read_text()
    assert lines(text, "cwvae")[:4] == ["cwvae", "0, 1, 2", "5", "20.00 ± 1.00"]
    assert lines(text, "dlh ")[3:5] == ["**22.00**", "0.400"]
    assert lines(text, "cwvae")[4] == "**0.500 ± 0.000**"
    assert lines(text, "dlh, average sample")[3] == "18.00"
    assert lines(text, "*copy last*")[3] == "10.00"
    assert re.search(r"^\| cwvae +\| +1,234 \| +11 ± 1 \|$", text, re.MULTILINE)  # the KL
    assert "5 runs." in text and "Published (CW-VAE, Table 1" in text
    for line in text.splitlines():
        if line.startswith("!["):
            picture = outcome.out / line.split("](")[1].rstrip(")")
            with Image.open(picture) as image:
                assert min(image.size) > 100
    pictures = sorted(path.name for path in outcome.out.glob("*.png"))
    assert len(pictures) == 3 and all(name in text for name in pictures)
    said = outcome.output.splitlines()
    assert lines(outcome.output, "cwvae") == lines(text, "cwvae")
    assert not any(line.startswith("![") for line in said)
    assert f"  {outcome.out / 'comparison.md'}" in said


def test_the_table_as_data(call: Compare, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed, psnr in enumerate((19.0, 21.0)):
        run(runs, "cwvae", seed, psnr=psnr, data="moving_mnist")
    other = replace(PROTOCOL, horizon=4)
    run(runs, "dlh", data="moving_mnist", protocol=other)
    outcome = call(runs)
    with (outcome.out / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    (cwvae,) = [r for r in rows if r["row"] == "cwvae" and r["metric"] == "psnr"]
    assert float(cwvae["mean"]) == 20.0
    assert float(cwvae["spread"]) == pytest.approx(2**0.5)
    assert (cwvae["seeds"], cwvae["values"]) == ("0 1", "19.0 21.0")
    assert (cwvae["kind"], cwvae["protocol_hash"], cwvae["apart"]) == (
        "model", PROTOCOL.hash, "",
    )  # fmt: skip
    (dlh,) = [r for r in rows if r["row"] == "dlh" and r["metric"] == "psnr"]
    assert dlh["apart"] == "another protocol: horizon 4 instead of 3" and dlh["spread"] == ""
    printed = [r for r in rows if r["kind"] == "published"]
    assert len(printed) == 5 * 4 + 4 * 2
    (svg,) = [r for r in printed if r["row"].startswith("SVG") and r["metric"] == "fvd"]
    assert svg["mean"] == "1392" and "horizon 1000 instead of 3" in svg["apart"]


def test_runs_that_were_trained(
    call: Compare, command: Callable[..., Outcome], tmp_path: Path
) -> None:
    for seed in (0, 1):
        trained = command("+model=rssm", f"seed={seed}", out=tmp_path / "runs")
        assert trained.code == 0, trained.errors
    outcome = call(tmp_path / "runs")
    assert outcome.code == 0, outcome.errors
    seeds = [
        json.loads(path.read_text())["rows"]["model"]["psnr"]["mean"]
        for path in sorted((tmp_path / "runs").glob("*/*/metrics.json"))
    ]
    cells = lines(outcome.output, "rssm")
    assert cells[1] == "0, 1"
    assert cells[3].split(" ± ")[0] == f"{sum(seeds) / 2:.2f}"
    assert lines(outcome.output, "*copy last*") and "KL z_1" in outcome.output


BAD = {
    "no runs": ([], ["no run given", "compare.py runs/NAME/seed0"]),
    "no such folder": (["nowhere"], ["nowhere is not there"]),
    "nothing evaluated": (["EMPTY"], ["no figures to compare", "not finished"]),
    "no such protocol": (["RUN", "protocol=rum"], ["under protocol 'rum'", "did you mean run?"]),
    "a file to write to": (["RUN", "out=FILE"], ["cannot write to", "choose another folder"]),
    "misspelt key": (["RUN", "protocl=run"], ["no setting protocl", "did you mean protocol?"]),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(call: Compare, tmp_path: Path, case: str) -> None:
    places = {"RUN": run(tmp_path / "runs"), "EMPTY": run(tmp_path / "empty"),
              "FILE": tmp_path / "file"}  # fmt: skip
    (places["EMPTY"] / "metrics.json").unlink()
    places["FILE"].touch()
    arguments, expected = BAD[case]
    given = []
    for argument in arguments:
        key, _, name = argument.rpartition("=")
        text = str(places.get(name, name))
        given.append(f"{key}={text}" if key else text)
    outcome = call(*given)
    assert outcome.code == 2, outcome.output
    for text in expected:
        assert text in outcome.errors
    assert "Traceback" not in outcome.errors and not outcome.out.exists()
