"""Shards: what a batch of sequences left, in a file, so that a killed evaluation goes on.

    FOLDER/KEY/00000016.npz        the batch that begins with sequence 16

The key names everything that decides the numbers: the protocol, the measures, the weights, the
data, the noise. So a shard is the very thing that would be computed, or it is not looked at. Files
are written whole or not at all, and read back with their checksums.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyrovp.evaluation.batch import Part
from pyrovp.files import atomic_write

__all__ = ["Shards", "key_of", "weights_hash"]


class Shards:
    """The shards of one evaluation.

    Args:
        folder: For all evaluations under one name; made when the first shard is written.
        key: What decides the numbers; see `key_of`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def path(self, start: int) -> Path:
        """The file of the batch that begins with sequence `start`."""
        return self.folder / self.key / f"{start:08d}.npz"

    def load(self, start: int, sequences: int) -> Part | None:
        """A batch that was scored before; None where there is none, or no whole one.

        Args:
            start: Number of its first sequence.
            sequences: How many it has; a shard of another number does not count.
        """
        try:
            # Opened here: numpy leaves a file open that turns out to be none of its own.
            with self.path(start).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                part = _part({name: torch.from_numpy(arrays[name]) for name in arrays.files})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
            # Cut short or overwritten: the batch is scored again. A header with a flipped bit may
            # speak of an unknown compression (NotImplementedError) or a password (RuntimeError).
            return None
        return part if len(part.gates) == sequences else None

    def save(self, start: int, part: Part) -> None:
        """Writes a batch, without its films: they are drawn again from their seed."""
        path = self.path(start)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            arrays: Any = {name: value.numpy() for name, value in _flat(part).items()}
            np.savez(temporary, **arrays)

    def drop_others(self) -> None:
        """Removes the shards of other keys: of weights, data or measures that have changed."""
        for other in self.folder.iterdir() if self.folder.is_dir() else ():
            if other.is_dir() and other.name != self.key:
                shutil.rmtree(other, ignore_errors=True)


def key_of(facts: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of facts that JSON can hold."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def weights_hash(*modules: nn.Module) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of all parameters and buffers, to the bit."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in module.state_dict().items():
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _flat(part: Part) -> dict[str, Tensor]:
    """A part under one name each."""
    flat = {
        f"scores/{row}/{m}": s for row, scores in part.scores.items() for m, s in scores.items()
    }
    flat |= {f"reconstruction/{name}": scores for name, scores in part.reconstruction.items()}
    flat |= {f"kl/{level}": kl for level, kl in part.kl.items()}
    flat |= {f"kept/{m}/{k}": v for m, kept in part.kept.items() for k, v in kept.items()}
    return flat | {"gates": part.gates, "given": torch.tensor(part.given)}


def _part(flat: Mapping[str, Tensor]) -> Part:
    """The part that `_flat` took apart."""
    scores: dict[str, dict[str, Tensor]] = {}
    kept: dict[str, dict[str, Tensor]] = {}
    reconstruction, kl = {}, {}
    for path, value in flat.items():
        kind, _, name = path.partition("/")
        first, _, second = name.partition("/")
        if kind == "scores":
            scores.setdefault(first, {})[second] = value
        elif kind == "kept":
            kept.setdefault(first, {})[second] = value
        elif kind == "reconstruction":
            reconstruction[name] = value
        elif kind == "kl":
            kl[int(name)] = value
    return Part(scores, reconstruction, kl, flat["gates"], kept, int(flat["given"]))
