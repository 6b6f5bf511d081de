"""Weights in a file that holds tensors and nothing else.

    model.safetensors     a header in JSON (name, dtype, shape, place), then the numbers

Nothing in such a file can be run. Model and guide share modules, so a tensor has several names:
it is stored once, under its first one, and put where the same modules share it again.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.files import atomic_write
from pyrovp.runs.tensors import check_fit, stored_once

__all__ = ["load_weights", "save_weights", "sha256"]


def save_weights(path: Path, module: nn.Module) -> None:
    """Writes a module's weights, whole or not at all.

    Args:
        path: Ends in `.safetensors`.
        module: Its parameters and buffers, on any device.

    Raises:
        RunError: If the package safetensors is missing, or a part of the state is no tensor.
        OSError: If the file cannot be written.
    """
    # A clone: two parameters may be views of one storage, which the format refuses.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in stored_once(module).items()
    }
    with atomic_write(path) as temporary:
        _safetensors("writing").save_file(tensors, temporary, metadata={"format": "pt"})


def load_weights(path: Path, module: nn.Module) -> None:
    """Reads weights into a module that has the same ones; each keeps its device.

    Raises:
        RunError: If safetensors is missing, there is no such file, or its tensors have other
            names, shapes or types than the module's; says which.
        DamagedCheckpoint: If it is no whole file of this format.
    """
    library = _safetensors("reading")
    if not path.is_file():
        raise RunError(f"there is no {path}; export the run again")
    try:
        given = library.load_file(path)
    except OSError:
        raise
    except Exception as error:  # the format's own error, and others for impossible headers
        raise DamagedCheckpoint(
            f"{path} is no whole file of safetensors ({error}); export the run again"
        ) from error
    needed = stored_once(module)
    hint = "config.yaml builds others with this version of pyrovp"
    check_fit(given, needed, str(path), hint)
    with torch.no_grad():
        for name, value in needed.items():
            value.copy_(given[name])


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _safetensors(purpose: str) -> Any:
    """The package, which only exported folders need."""
    try:
        import safetensors.torch
    except ImportError as error:
        raise RunError(
            f"{purpose} exported weights needs the package safetensors, which cannot be imported "
            f"({error}); run: pip install 'pyrovp[export]'"
        ) from error
    return safetensors.torch
