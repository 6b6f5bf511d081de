"""One file of a checkpoint: read whole and verified, or not at all.

The file is torch's zip format. Its checksums are verified before anything is read (torch itself
does not look at them), and it is read with `weights_only=True`, which never runs code from a file.
It is damaged where its bytes are not those that were written; a disk that does not answer, or too
little memory, says nothing about the file.
"""

import io
import shutil
import zipfile
from collections.abc import Set
from pathlib import Path
from typing import Any

import torch

from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.files import atomic_write

__all__ = ["read_checkpoint", "write_checkpoint"]

_VERSION = 1


def read_checkpoint(path: Path, fingerprint: str, keys: Set[str]) -> dict[str, Any]:
    """Reads one file.

    Args:
        path: The file.
        fingerprint: Of the configuration that it has to belong to.
        keys: What it has to hold.

    Raises:
        DamagedCheckpoint: If it is not what was written.
        RunError: If it cannot be read at present, or is of another format or configuration.
    """
    try:
        content = _load(io.BytesIO(path.read_bytes()))
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "out of memory"
        raise RunError(
            f"cannot read the checkpoint {path} ({reason}), which need not be damaged: it is left "
            f"as it is, and the same command, without force=true, goes on once it can be read"
        ) from error
    if not isinstance(content, dict) or "version" not in content:
        raise DamagedCheckpoint("it holds something else")
    if content["version"] != _VERSION:
        raise RunError(
            f"{path} has format {content['version']}, this version of pyrovp reads "
            f"{_VERSION}; use the version that wrote it, or start over with force=true"
        )
    if missing := {"fingerprint", *keys} - content.keys():
        raise DamagedCheckpoint(f"it lacks {', '.join(sorted(missing))}")
    if content["fingerprint"] != fingerprint:
        raise RunError(
            f"{path} belongs to another configuration (fingerprint "
            f"{content['fingerprint']}, this run's is {fingerprint}); start over "
            f"with force=true, or move the folder away"
        )
    return content


def _load(file: io.BytesIO) -> Any:
    """What the bytes hold, after verifying their checksums."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedCheckpoint(f"the checksum of its part {damaged} is wrong")
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)
    except (DamagedCheckpoint, OSError, MemoryError):
        raise
    except Exception as error:  # a cut or overwritten file fails in many ways
        text = str(error).partition("\n")[0]
        if isinstance(error, RuntimeError) and "memory" in text:  # torch's allocator says it so
            raise MemoryError(text) from error
        raise DamagedCheckpoint(text or type(error).__name__) from error


def write_checkpoint(path: Path, fingerprint: str, content: dict[str, Any]) -> None:
    """Writes one file, whole or not at all.

    Args:
        path: The file; its folder is made.
        fingerprint: Of the configuration that it belongs to.
        content: Tensors, numbers, strings and containers.

    Raises:
        OSError: If it cannot be written.
    """
    # To memory first: where writing to a file fails, or Ctrl-C comes while torch does it, torch
    # raises an error of its own ("unexpected pos") over the one that tells what happened.
    memory = io.BytesIO()
    torch.save({"version": _VERSION, "fingerprint": fingerprint} | content, memory)
    path.parent.mkdir(parents=True, exist_ok=True)
    memory.seek(0)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        # In pieces: `getbuffer` makes some Python 3.12 crash in its collector when writing fails.
        shutil.copyfileobj(memory, file, 1 << 20)
