"""Weights that others have trained: found on this machine and checked, never fetched.

A figure measured with other weights is another figure. So a file is taken only where the sha256
of its bytes begins with the digits that were published with it, and where there is no file
nothing stands in for it: the metric is `Absent`, with the reason in a sentence.

A file is looked for

    at the path that the caller names, and then nowhere else: whoever names a file means it;
    in torch.hub.get_dir()/checkpoints otherwise, where torchvision keeps its own. The
    environment variable TORCH_HOME moves that folder.
"""

__all__ = ["ADDRESS", "Absent", "find_weights", "load_weights", "no_file", "sha256"]

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

ADDRESS = "https://download.pytorch.org/models/"
"""Where torchvision's files are published, by their names."""


@dataclass(frozen=True)
class Absent:
    """Stands where a metric would be that cannot be measured here.

    Args:
        reason: Why, as one sentence that says what to do.

    Example:
        >>> print(Absent("no weights"))
        absent: no weights
    """

    reason: str

    def __str__(self) -> str:
        return f"absent: {self.reason}"


def no_file(name: str, address: str, expected: str, searched: str) -> Absent:
    """The absence of a file of weights.

    Args:
        name: Of the file.
        address: Where it is published.
        expected: What its bytes must be, in words.
        searched: The places where it was looked for.
    """
    return Absent(f"no file {name} at {searched}; get it from {address}; {expected}")


def find_weights(name: str, sha256_prefix: str, path: str | Path | None = None) -> Path | Absent:
    """Looks for a file of torchvision's weights; reads none of it.

    Args:
        name: The file's published name.
        sha256_prefix: The first hexadecimal digits of its sha256, for the reason; `load_weights`
            checks them.
        path: Where the file is, under whatever name; None: in torch's own folder.

    Returns:
        The file, or why there is none: its name and address, the hash that it must have and the
        places searched.
    """
    place = Path(torch.hub.get_dir()) / "checkpoints" / name if path is None else Path(path)
    place = place.expanduser()
    if place.is_file():
        return place
    searched = str(place)
    if path is None:
        searched += " (TORCH_HOME moves this folder, and no other path was named)"
    expected = f"its sha256 begins with {sha256_prefix}"
    return no_file(name, ADDRESS + name, expected, searched)


def load_weights(path: str | Path, sha256_prefix: str) -> dict[str, Tensor]:
    """The state dict in a file, on the CPU; no code in the file is run.

    Args:
        path: The file.
        sha256_prefix: The first hexadecimal digits that its sha256 must have; empty where none
            were published.

    Returns:
        name -> tensor.

    Raises:
        ValueError: If the hash is another one, or the file holds no state dict.
        OSError: If the file cannot be read.
    """
    path = Path(path)
    found = sha256(path)
    if not found.startswith(sha256_prefix.lower()):
        raise ValueError(
            f"{path}: found a sha256 of {found}, expected one that begins with {sha256_prefix}; "
            "the file is damaged or another one, fetch it again"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a cut or foreign file fails in many ways
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path}: found something that cannot be loaded as weights ({said}), expected a "
            "state dict saved by torch.save"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        what = (
            f"a dict with the keys {list(content)[:5]}"
            if isinstance(content, dict)
            else f"a {type(content).__name__}"
        )
        raise ValueError(
            f"{path}: found {what}, expected a state dict, name -> tensor; save the network's "
            "state_dict() alone"
        )
    return dict(content)


def sha256(path: str | Path) -> str:
    """The sha256 of a file's bytes, in 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
