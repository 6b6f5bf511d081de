"""A file of weights: each tensor once, whatever shares it, and nothing that does not fit."""

import builtins
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.runs.tensors import stored_once
from pyrovp.runs.weights_file import load_weights, save_weights


class Two(nn.Module):
    """Two names for one layer, one parameter in two layers, a buffer, and a layout of its own."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(2, outputs)
        self.second = self.first
        self.third = nn.Linear(2, outputs)
        self.third.bias = self.first.bias
        self.norm = nn.BatchNorm2d(4)
        self.layer = nn.Conv2d(4, 5, 3).to(memory_format=torch.channels_last)


def header(path: Path) -> dict[str, Any]:
    """The header as the format's description says: its length in eight bytes, then JSON."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    found: dict[str, Any] = json.loads(content[8 : 8 + length])
    return found


def test_each_tensor_is_stored_once(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", Two())
    found = header(tmp_path / "w.safetensors")
    assert set(found) - {"__metadata__"} == {
        "first.weight", "first.bias", "third.weight", "layer.weight", "layer.bias",
        *(f"norm.{name}" for name in nn.BatchNorm2d(4).state_dict()),
    }  # fmt: skip
    assert found["third.weight"]["shape"] == [3, 2]
    assert found["norm.num_batches_tracked"]["dtype"] == "I64"


def test_there_and_back(tmp_path: Path) -> None:
    source, target = Two(), Two()
    source.norm(torch.rand(2, 4, 3, 3))  # statistics of its own
    save_weights(tmp_path / "w.safetensors", source)
    load_weights(tmp_path / "w.safetensors", target)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    assert target.second is target.first and target.third.bias is target.first.bias
    assert target.layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_what_differs_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, Two())
    other = Two(outputs=4)
    other.norm.register_buffer("more", torch.zeros(2))
    other.layer.double()
    with pytest.raises(RunError) as refused:
        load_weights(path, other)
    for line in (
        "6 of 11 weights do not fit",
        "first.weight: (3, 2) float32 there, (4, 2) float32 here",
        "layer.bias: (5,) float32 there, (5,) float64 here",
        "norm.more: none there, (2,) float32 here",
    ):
        assert line in str(refused.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-3],
        lambda content: content[:5],
        lambda content: struct.pack("<Q", 2**60) + content[8:],
        lambda content: b"\x80\x04cposix\nsystem\n" + content,  # a pickle's beginning
    ],
)
def test_a_damaged_file(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, Two())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DamagedCheckpoint, match="is no whole file of safetensors"):
        load_weights(path, Two())


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no .*w.safetensors"):
        load_weights(tmp_path / "w.safetensors", Two())


def test_a_state_that_is_no_tensor() -> None:
    class Odd(nn.Module):
        def get_extra_state(self) -> dict[str, int]:
            return {"count": 3}

    with pytest.raises(RunError, match="_extra_state is a dict"):
        stored_once(Odd())


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError("No module named 'safetensors'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RunError, match=r"writing .* pip install 'pyrovp\[export\]'"):
        save_weights(tmp_path / "w.safetensors", Two())
    assert not list(tmp_path.iterdir())
