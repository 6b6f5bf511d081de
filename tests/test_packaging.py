"""What a wheel holds, and that the folders beside the package are no packages of their own."""

import importlib
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a freshly built wheel."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def sources(folder: str) -> set[str]:
    """The package's own files in a folder of the checkout."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_one_name_at_the_top(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert tops == {"pyrovp", "pyrovp-0.1.0.dist-info"}


def test_every_file_of_the_package_once(wheel: set[str]) -> None:
    expected = sources("pyrovp")
    for folder in ("models", "guides"):
        expected |= {f"pyrovp/{name}" for name in sources(folder)}
    assert {name for name in wheel if name.startswith("pyrovp/")} == expected


@pytest.mark.parametrize(
    "name",
    [
        "pyrovp/models/cwvae.py",
        "pyrovp/guides/dlh.py",
        "pyrovp/py.typed",
        "pyrovp/data/assets/digits.npz",
        "pyrovp/metrics/published/cwvae.json",
        "pyrovp-0.1.0.dist-info/licenses/LICENSE",
    ],
)
def test_what_must_not_be_missing(wheel: set[str], name: str) -> None:
    assert name in wheel


def test_an_sdist_makes_the_same_wheel(wheel: set[str], tmp_path: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    (packed,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (path,) = WheelBuilder(str(unpacked)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as again:
        assert set(again.namelist()) == wheel


@pytest.mark.parametrize("folder", ["models", "guides"])
def test_links_and_guards(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = ROOT / "pyrovp" / folder
    assert link.is_symlink() and str(link.readlink()) == f"../{folder}"
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, folder, raising=False)
    with pytest.raises(ImportError, match=rf"pyrovp\.{folder}"):
        importlib.import_module(folder)


def test_the_version_is_said_once() -> None:
    import pyrovp

    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{pyrovp.__version__}"' in text
