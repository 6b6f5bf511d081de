"""Files of weights: where they are looked for, and what is refused."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrovp.metrics import Absent, find_weights, load_weights
from pyrovp.metrics.pretrained import ADDRESS, sha256

NAME = "tiny-01234567.pth"
STATE = {"layer.weight": torch.arange(6.0).view(2, 3), "layer.bias": torch.ones(2)}


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision would keep its weights: an empty folder of this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def saved(path: Path, content: Any = STATE, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"abc")  # FIPS 180-2, Appendix B.1
    assert sha256(tmp_path / "text") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_torch_home_is_searched(checkpoints: Path) -> None:
    assert find_weights(NAME, "01234567") == Absent(
        f"no file {NAME} at {checkpoints / NAME} (TORCH_HOME moves this folder, and no other path "
        f"was named); get it from {ADDRESS}{NAME}; its sha256 begins with 01234567"
    )
    path = saved(checkpoints / NAME)
    assert find_weights(NAME, "01234567") == path


def test_a_named_path_is_the_only_place(checkpoints: Path, tmp_path: Path) -> None:
    saved(checkpoints / NAME)
    named = tmp_path / "mine.pth"
    found = find_weights(NAME, "01234567", named)
    assert isinstance(found, Absent)
    for part in (NAME, ADDRESS, "01234567", str(named)):
        assert part in found.reason
    assert str(checkpoints) not in found.reason
    saved(named)
    assert find_weights(NAME, "01234567", str(named)) == named


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert isinstance(find_weights(NAME, "01234567", tmp_path), Absent)


def test_an_absence_prints_its_reason() -> None:
    assert str(Absent("no file")) == "absent: no file"


@pytest.mark.parametrize("zipped", [True, False])
def test_loads_what_was_saved(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path / NAME, _use_new_zipfile_serialization=zipped)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for prefix in ("", digest[:8], digest[:8].upper(), digest):
        loaded = load_weights(path, prefix)
        assert list(loaded) == list(STATE)
        assert all(torch.equal(loaded[name], value) for name, value in STATE.items())


def test_a_wrong_hash_names_both(tmp_path: Path) -> None:
    path = saved(tmp_path / NAME)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = "0" * 8 if not found.startswith("0" * 8) else "1" * 8
    with pytest.raises(ValueError, match=rf"{found}, expected one that begins with {expected}"):
        load_weights(path, expected)


def test_a_cut_file(tmp_path: Path) -> None:
    path = saved(tmp_path / NAME)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be loaded as weights"):
        load_weights(path, "")


class Harmless:
    """What no state dict holds: an object that would have to be built by code."""


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (torch.ones(2), "found a Tensor"),
        ({"state_dict": STATE, "epoch": 3}, r"the keys \['state_dict', 'epoch'\].*alone"),
        (Harmless(), "cannot be loaded as weights"),
    ],
)
def test_what_is_no_state_dict(tmp_path: Path, content: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        load_weights(saved(tmp_path / NAME, content), "")
