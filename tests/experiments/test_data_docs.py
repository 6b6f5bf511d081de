"""What docs/data.md says: its tables are the registry's, its programs and commands run."""

import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyrovp.data import StoredVideos
from pyrovp.data import __main__ as data_command
from pyrovp.data.generated import GENERATED, Generated
from pyrovp.data.registry import SOURCES
from pyrovp.data.sources.base import Source
from pyrovp.doctor import __main__ as doctor_command
from tests.experiments.tiny import Outcome

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "data.md").read_text()
README = (ROOT / "README.md").read_text()
KNOWN: dict[str, Source | Generated] = {**GENERATED, **SOURCES}
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", DOCS + README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python ")
]


def blocks(kind: str) -> list[str]:
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", DOCS, re.DOTALL)
    return found


@pytest.mark.parametrize("name", KNOWN)
def test_the_tables_are_the_registrys(name: str) -> None:
    (what, splits) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    known = KNOWN[name]
    assert f"| {known.licence} |" in what and f"| {known.size} |" in what
    for address in re.findall(r"https?://[^\s,]+", known.address):
        assert address in what
    if isinstance(known, Source):
        for count in known.counts.values():
            assert f"{count:,}" in splits or str(count) in splits


def test_the_tables_name_nothing_else() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", DOCS, re.MULTILINE)
    assert sorted(rows) == sorted([*KNOWN, *KNOWN])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "pyrovp.data" in c])
def test_data_commands_are_understood(command: str) -> None:
    given = data_command._parser().parse_args(shlex.split(command)[3:])
    assert getattr(given, "name", "kth") in KNOWN


def test_every_command_is_known() -> None:
    known = (
        "-m pyrovp.data ",
        "-m pyrovp.doctor",
        "-m pyrovp.export ",
        "-m pyrovp.report ",
        "experiments/",
        "ducks.py",
    )
    bare = [re.sub(r"^(python|torchrun --\S+) ", "", command) for command in COMMANDS]
    assert bare and all(command.startswith(known) for command in bare)
    chosen = {name for c in COMMANDS for name in re.findall(r"\+data=(\w+)", c)}
    written = {path.stem for path in (ROOT / "experiments" / "conf" / "data").glob("*.yaml")}
    assert chosen - {"ducks"} <= written
    doctor_command._parser().parse_args(["--json", "--root", "data"])


def ducks(folder: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            size = (9, 20, 30, 1) if split == "test" else (9, 20, 30)  # gray, either way
            frames = np.random.default_rng(number).integers(0, 255, size, np.uint8)
            np.savez(folder / split / f"{number}.npz", frames=frames, wind=np.arange(9.0))


def test_a_data_set_of_ones_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Callable[..., Outcome],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYROVP_DATA", raising=False)
    ducks(tmp_path / "originals")
    look, program = blocks("python")
    (configuration,) = blocks("yaml")
    (tmp_path / "ducks.py").write_text(program)
    (tmp_path / "my_conf" / "data").mkdir(parents=True)
    (tmp_path / "my_conf" / "data" / "ducks.yaml").write_text(configuration)

    runpy.run_path("ducks.py", run_name="__main__")
    clip = StoredVideos("test", 9, "ducks")[1]
    assert clip["video"].shape == (9, 1, 64, 64)
    assert clip["states"]["wind"].tolist() == list(range(9))

    capsys.readouterr()
    exec(look.replace("kth", "ducks"), {})
    assert re.search(r"3 videos; train/\d\.npz has 9 frames", capsys.readouterr().out)

    outcome = command("--config-dir=my_conf", "+model=cwvae", "+data=ducks", "data.resolution=64")
    assert outcome.code == 0, outcome.errors
    assert outcome.folder.parent.name.startswith("cwvae-ducks-")
