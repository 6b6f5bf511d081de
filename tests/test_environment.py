"""What figures were made with."""

import platform
import subprocess
import sys
from pathlib import Path

import pyro
import pytest
import torch

import pyrovp
from pyrovp import environment as module
from pyrovp.environment import environment


def test_versions_and_device() -> None:
    found = environment(torch.device("cpu"))
    assert found["pyrovp"] == pyrovp.__version__ and found["pyro"] == pyro.__version__
    assert found["torch"] == torch.__version__ and found["python"] == platform.python_version()
    assert found["device"] == "cpu" and found["cuda"] is None
    assert environment()["device"] is None


def git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which a file in place of the module's own lies, not yet committed."""
    git(tmp_path, "init")
    (tmp_path / "other.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "another project")
    (tmp_path / "environment.py").write_text("1")
    monkeypatch.setattr(module, "_HERE", tmp_path / "environment.py")
    return tmp_path


def test_the_commit_of_the_own_checkout(checkout: Path) -> None:
    assert environment()["commit"] is None, "a checkout of something else, as around a .venv"
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    commit = environment()["commit"]
    assert commit is not None and len(commit) == 40 and set(commit) <= set("0123456789abcdef")
    (checkout / "environment.py").write_text("2")
    assert environment()["commit"] == f"{commit} (changed)"


def test_a_hook_of_another_checkout_does_not_mislead(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    commit = environment()["commit"]
    monkeypatch.setenv("GIT_DIR", str(checkout / "nowhere"))
    assert environment()["commit"] == commit


def test_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert environment()["commit"] is None


def test_nothing_is_asked_of_cuda_without_a_device() -> None:
    code = (
        "import torch; from pyrovp.environment import environment; environment(); "
        "assert not torch.cuda.is_initialized()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(pyrovp.__file__).parents[1])
