"""The page of systems and primitives is what the code says."""

import re
from pathlib import Path

import pytest

from pyrovp import models
from pyrovp.table import INFERRED, MADE, SYSTEMS, main, page, table

PAGE = Path(__file__).parents[1] / "docs" / "systems.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "python -m pyrovp.table > docs/systems.md"


def test_the_command_has_help_and_takes_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "which system is made of which" in said and "|" not in said
    with pytest.raises(SystemExit) as ended:
        main(["dlh"])
    assert ended.value.code == 2
    main([])
    assert capsys.readouterr().out == page()


def rows(text: str) -> dict[str, list[str]]:
    """Cells by system."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert len({len(line) for line in lines}) == 1
    return {line[0].strip("`"): line[1:] for line in lines[2:]}


def test_every_system_has_a_row() -> None:
    assert set(SYSTEMS) == set(models.__all__)
    made, inferred = rows(table(MADE)), rows(table(INFERRED))
    assert made["cwvae"] == ["1, 6, 36", "-", "GRU 200", "Gaussian 20", "Parent", "12,466,817"]
    assert inferred["cwvae"] == [
        "OwnHead",
        "the frame (1024); the sum over 6 frames (1024); the sum over 36 frames (1024)",
        "GaussianFrames(DCGANDecoder, std 1)",
    ]
    assert made["dlh"][1] == "MixtureGate(KLComparison) on 2, 3"
    assert made["dlh"][-1] == "6,693,211" and made["vta"][-1] == "2,760,775"


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(block, scope)
    assert (tmp_path / "hierarchy.svg").stat().st_size > 0
    assert "z_2_1" in scope["graph"].source  # type: ignore[attr-defined]
