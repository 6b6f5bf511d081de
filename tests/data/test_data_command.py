"""`python -m pyrovp.data`: what it prints, what it does, and how it ends."""

import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyrovp.data import MNIST, MovingDigits, handwriting
from pyrovp.data.__main__ import main
from pyrovp.data.catalogue import catalogue
from pyrovp.data.generated import GENERATED
from pyrovp.data.mnist_files import MNISTFiles
from pyrovp.data.registry import SOURCES
from pyrovp.data.store import open_prepared
from tests.data.handmade import COUNTS
from tests.data.toy_source import ToySource, write_toys


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of all data, with a data set more than there are."""
    monkeypatch.setitem(SOURCES, "toy", ToySource())
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs a command that ends with exit code 2; returns its message."""
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    bar, error, message = ("\n" + text).partition("\nerror: ")
    assert error and message
    return message


def entry(name: str, root: Path) -> str:
    """What `list` prints about a data set."""
    (found,) = [text for text in catalogue(root).split("\n\n") if text.startswith(f"{name}:")]
    return found


@pytest.mark.parametrize("name", [*GENERATED, *SOURCES])
def test_list_names_everything(name: str, root: Path) -> None:
    about = GENERATED.get(name) or SOURCES[name]
    text = entry(name, root)
    for fact in (about.title, about.what, about.licence, about.address, about.size, about.splits):
        assert fact in text
    assert "prepared" in text and "originals" in text


def test_list_from_nothing_to_prepared(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = entry("toy", root)
    assert f"missing: looked in {root / 'toy'}. Needed: train-00.toy, ..." in text
    assert "published: train 8, test 3 videos" in text
    command = f"no: python -m pyrovp.data prepare toy --resolution 16 --root {root}"
    assert command in text

    write_toys(root / "toy")
    text = entry("toy", root)
    assert f"found in {root / 'toy'}: train 4, validation 1, test 2 originals" in text

    (root / "toy" / "test-00.toy").write_text("[5]#")
    refused(capsys, "prepare", "toy", "--root", str(root))
    assert "toy-16px.part: 6 originals done" in entry("toy", root)

    write_toys(root / "toy")
    assert main(["prepare", "toy", "--root", str(root)]) == 0
    assert main(["prepare", "toy", "--root", str(root), "--resolution", "8"]) == 0
    folder = root / "prepared" / "toy-16px"
    capsys.readouterr()
    assert main(["list", "--root", str(root)]) == 0
    text = capsys.readouterr().out
    counts = r"train \d, validation \d, test 3 sequences"
    assert re.search(rf"8 px in .*toy-8px: {counts}; 16 px in {folder}: {counts}", text)

    (folder / "train.npy").unlink()
    assert "16 px: not usable:" in entry("toy", root)


def test_list_says_what_is_wrong_with_originals(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: ToySource, folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(ToySource, "originals", refuse)
    assert f"not usable: [Errno 13] Permission denied: '{root / 'toy'}'" in entry("toy", root)


def test_list_takes_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYROVP_DATA", str(root / "here"))
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert f"looked in {root / 'here' / 'kth'}" in text
    assert f"{root / 'here' / 'MNIST' / 'raw'} does not hold" in text


def test_prepare_with_every_option(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    originals = write_toys(root / "elsewhere")
    (originals / "train-03.toy").write_text("[7]#")
    command = ["prepare", "toy", "--root", str(root / "all"), "--originals", str(originals)]
    command += ["--resolution", "8", "--workers", "0"]
    assert "1 damaged original among 7" in refused(capsys, *command)
    assert main([*command, "--skip-damaged"]) == 0
    folder = root / "all" / "prepared" / "toy-8px"
    assert list(open_prepared(folder).skipped) == ["train-03.toy"]
    assert f"look at {folder / 'contact_sheet.png'}" in capsys.readouterr().out
    write_toys(originals)
    assert main(command) == 0
    assert "is prepared; --force" in capsys.readouterr().out
    assert main([*command, "--force"]) == 0
    assert not open_prepared(folder).skipped


def test_verify(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toys(root / "toy")
    for resolution in ("8", "16"):
        assert main(["prepare", "toy", "--root", str(root), "--resolution", resolution]) == 0
    capsys.readouterr()
    verify = ["verify", "toy", "--root", str(root)]
    assert main(verify) == 0
    assert capsys.readouterr().out.count("holds what was written: 11 videos") == 2
    path = root / "prepared" / "toy-8px" / "test.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "toy-8px: found other contents in test.npy" in refused(capsys, *verify)
    assert main([*verify, "--resolution", "16"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "toys"], "did you mean 'toy'?"),
        (["verify", "moving_mnst"], "did you mean 'moving_mnist'?"),
        (["prepare", "toy"], "looked for toys in "),
        (["prepare", "toy", "--resolution", "2"], "at least 4, got 2"),
        (["prepare", "moving_ball", "--resolution", "2"], "at least 4, got 2"),
        (["prepare", "moving_ball", "--resolution", "0"], "at least 4, got 0"),
        (["prepare", "toy", "--download"], "get it from https://example.org/toys"),
        (["prepare", "moving_ball", "--download"], "there is nothing to fetch"),
        (["prepare", "moving_ball", "--originals", "x"], "leave out --originals"),
        (["verify", "toy"], "toy is not prepared: looked in "),
        (["verify", "toy", "--resolution", "32"], "no prepared data set in "),
        (["verify", "moving_mnist"], "does not hold train-images"),
    ],
)
def test_mistakes(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refused(capsys, *arguments, "--root", str(root))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["prepare"],
        ["list", "kth"],
        ["prepare", "toy", "--workers", "x"],
        ["prepare", "toy", "--source", "a:B"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m pyrovp.data" in capsys.readouterr().err


def test_interrupted(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    write_toys(root / "toy")
    monkeypatch.setitem(SOURCES, "toy", ToySource(before=interrupt))
    assert main(["prepare", "toy", "--root", str(root)]) == 130
    assert "stopped; the same command goes on" in capsys.readouterr().err
    assert main(["prepare", "toy", "--root", str(root), "--force"]) == 130
    assert "stopped; the same command without --force goes on" in capsys.readouterr().err


OWN = """
from tests.data.toy_source import ToySource

class Ducks(ToySource):
    name = "ducks"

class Named(ToySource):
    name = "kth"

class Spaced(ToySource):
    name = "my ducks"

class Deep(ToySource):
    name, channels = "deep", 4

class Unwilling(ToySource):
    def __init__(self, pond):
        super().__init__()

Unwilling.name = "unwilling"
"""

HALF = """
from pyrovp.data.sources.base import Source

class Half(Source):
    name, title, what, licence, address, layout, size = "half", "", "", "", "", "", ""
    channels, splits = 1, ""

    def originals(self, folder):
        return []
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with sources of a user's own, as it lies in the working directory."""
    (tmp_path / "own_ducks.py").write_text(OWN + HALF)
    (tmp_path / "own_broken.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "own_ducks"
    sys.modules.pop("own_ducks", None)


def test_a_source_of_ones_own(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    originals = write_toys(tmp_path / "elsewhere")
    place = ["--source", f"{own}:Ducks", "--root", str(tmp_path / "root")]
    assert "ducks is not prepared" in refused(capsys, "verify", *place)
    assert main(["prepare", *place, "--originals", str(originals), "--resolution", "8"]) == 0
    folder = tmp_path / "root" / "prepared" / "ducks-8px"
    assert open_prepared(folder).name == "ducks"
    capsys.readouterr()
    assert main(["verify", *place]) == 0
    assert f"{folder} holds what was written: 11 videos" in capsys.readouterr().out
    (folder / "train.npy").write_bytes(b"?")
    assert "prepare --source MODULE:CLASS --resolution 8" in refused(capsys, "verify", *place)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("own_ducks", "--source takes package.module:Class, got own_ducks"),
        ("own_ducks:Geese", "own_ducks.py has no class Geese"),
        ("own_geese:Ducks", "own_geese cannot be imported (No module named 'own_geese'); go to"),
        ("own_broken:Ducks", "(No module named 'a_package_that_is_not_there')"),
        ("own_ducks:OWN", "own_ducks.py has no class OWN"),
        ("own_ducks:Source", "lacks name, title, "),
        ("own_ducks:Half", "lacks counts, read; docs/data.md has an example"),
        ("own_ducks:Named", "has the name of pyrovp's own kth"),
        ("own_ducks:Spaced", "has the name 'my ducks'; use letters"),
        ("own_ducks:Deep", "has channels = 4; store 1 (gray) or 3"),
        ("own_ducks:Unwilling", "cannot be made without arguments: "),
        ("pathlib:Path", "is no subclass of pyrovp.data.sources.base.Source"),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_is_no_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, message: str
) -> None:
    assert message in refused(capsys, "prepare", "--source", place, "--root", str(tmp_path))


def test_generated_sets_are_drawn(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "moving_digits", "--root", str(root), "--resolution", "32"]) == 0
    path = root / "prepared" / "moving_digits" / "contact_sheet.png"
    assert f"needs no preparation; look at {path}" in capsys.readouterr().out
    picture = np.asarray(Image.open(path))
    clip = MovingDigits("train", length=20, resolution=32)[1]["video"]
    shown = picture[18 + 84 : 18 + 84 + 64 : 2, 2 + 66 : 2 + 66 + 64 : 2]  # its third frame
    expected = (clip[2, 0] * 255).round().numpy().astype(np.uint8)
    np.testing.assert_array_equal(shown, np.repeat(expected[..., None], 3, axis=-1))
    assert entry("moving_digits", root).count("found inside the package") == 1
    assert main(["verify", "moving_digits", "--root", str(root)]) == 0


@pytest.fixture
def handmade(mnist: MNIST, monkeypatch: pytest.MonkeyPatch) -> MNIST:
    """Handmade digits in the place of MNIST, also for the check."""
    monkeypatch.setattr(handwriting, "MNIST", partial(MNIST, counts=COUNTS))
    return mnist


@pytest.mark.parametrize("name", ["moving_mnist", "stochastic_moving_mnist"])
def test_sets_of_mnist(
    handmade: MNIST, root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "MNIST").symlink_to(handmade.files.folder.parent)
    assert main(["prepare", name, "--root", str(root), "--resolution", "32"]) == 0
    assert "MNIST is whole in" in capsys.readouterr().out
    assert (root / "prepared" / name / "contact_sheet.png").is_file()
    assert f"found in {root}/MNIST/raw" in entry(name, root)
    assert main(["verify", name, "--root", str(root)]) == 0


def test_nothing_is_fetched_unless_asked(
    handmade: MNIST,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetched: list[Path] = []

    def fetch(files: MNISTFiles) -> None:
        fetched.append(files.folder)
        (root / "MNIST").symlink_to(handmade.files.folder.parent)

    monkeypatch.setattr(handwriting, "fetch", fetch)
    command = ["prepare", "moving_mnist", "--root", str(root), "--resolution", "32"]
    assert f"{' '.join(command)} --download" not in catalogue(root)
    assert "moving_mnist --resolution 64" in refused(capsys, *command) and not fetched
    assert main(["list", "--root", str(root)]) == 0 and not fetched
    assert main([*command, "--download"]) == 0
    assert fetched == [root / "MNIST" / "raw"]
