"""What figures were made with: versions, the device, and the commit of a checkout.

    {"pyrovp": "0.1.0", "commit": "1f0c9a2b... (changed)", "python": "3.11.9", "torch": "2.11.0",
     "pyro": "1.9.1", "cuda": "12.8", "device": "NVIDIA H200", "platform": "Linux-6.8.0-..."}

A commit is known where pyrovp runs from a git checkout of its own; None stands for what is not
known or not there.
"""

import os
import platform
import subprocess
from pathlib import Path

import pyro
import torch

from pyrovp import __version__

__all__ = ["environment"]

_HERE = Path(__file__).resolve()


def environment(device: torch.device | None = None) -> dict[str, str | None]:
    """Versions of what takes part, as JSON holds them.

    Args:
        device: Where the figures are computed; None: nothing is.
    """
    return {
        "pyrovp": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pyro": str(pyro.__version__),
        "cuda": torch.version.cuda if device is not None and device.type == "cuda" else None,
        "device": None if device is None else _name(device),
        "platform": platform.platform(),
    }


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _commit() -> str | None:
    """The checkout's commit, and whether its files are other than committed."""
    # A virtual environment may lie inside a checkout of something else: ours tracks this file.
    if _git("ls-files", "--error-unmatch", _HERE.name) is None:
        return None
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
    if commit is None or not changed:
        return commit
    return f"{commit} (changed)"


def _git(*arguments: str) -> str | None:
    """What git says, or None where it refuses or is not there."""
    # A hook of git's sets GIT_DIR, which would name another checkout.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        said = subprocess.run(
            ["git", *arguments], cwd=_HERE.parent, env=ours, capture_output=True, text=True,
            check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
