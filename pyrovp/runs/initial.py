"""Fine-tuning: a run that starts from the weights of another one.

    python experiments/run.py +model=dlh +data=moving_ball init_from=runs/dlh-.../seed0

Both need the same weights by name and shape; what differs is listed. The new run is named by what
it starts from, not by where that lies: its steps, its optimiser and its annealing begin anew.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.errors import RunError
from pyrovp.runs.run_directory import built_from
from pyrovp.runs.settings import Settings
from pyrovp.runs.tensors import check_fit, stored_once
from pyrovp.runs.trained import load
from pyrovp.words import counted

__all__ = ["InitialWeights", "begun_from", "initial_weights"]


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run starts from.

    Args:
        path: The run that they are from.
        step: Its finished steps.
        key: Sixteen hexadecimal digits that name their values.
        settings: Of the run that begins, as `built_from` names them.
    """

    path: Path
    step: int
    key: str
    settings: str

    def record(self) -> dict[str, Any]:
        """What a run notes of them, for `begun_from`."""
        return asdict(self) | {"path": str(self.path.resolve())}

    def __str__(self) -> str:
        return f"{self.path} after {counted(self.step, 'step')} ({self.key})"


def begun_from(settings: Settings, model: str, data: str) -> InitialWeights | None:
    """What the unfinished run of these settings began from, whatever has become of it since.

    A command goes on with the run that it began, also where the source has been trained further
    or is gone: it has a checkpoint of its own.

    Args:
        settings: Of the run.
        model, data: What it is called.
    """
    if settings.init_from is None or settings.force:
        return None
    mine = built_from(asdict(settings)), str(Path(settings.init_from).resolve())
    for record in Path(settings.out).glob(f"{model}-{data}-*/seed{settings.seed}/init_from.json"):
        begun = any((record.parent / "checkpoint").glob("step_*.pt"))
        if not begun or (record.parent / "done.json").exists():
            continue
        try:
            found = InitialWeights(**json.loads(record.read_text()))
        except (ValueError, TypeError):  # damaged: as if it were not there
            continue
        if (found.settings, str(found.path)) == mine:
            return replace(found, path=Path(settings.init_from))
    return None


def initial_weights(settings: Settings, objective: nn.Module) -> InitialWeights | None:
    """Puts another run's weights into an objective with modules `model` and `guide`.

    They are those that the run itself was evaluated with (`evaluate.checkpoint`).

    Args:
        settings: Of the run that begins; without `init_from` nothing is done.
        objective: Its own.

    Raises:
        RunError: If there is no such run, or its weights have other names or shapes.
    """
    path = settings.init_from
    if path is None:
        return None
    try:
        source = load(path, weights=None, device="cpu")
    except ValueError as error:
        raise RunError(f"init_from={path}: {error}") from error
    given = nn.ModuleDict({"model": source.model, "guide": source.guide})
    hint = "choose the same model, sizes and frames as in its config.yaml"
    check_fit(stored_once(given), stored_once(objective), f"init_from={path}", hint)
    objective.load_state_dict(given.state_dict())
    key = _key(stored_once(given))
    return InitialWeights(Path(path), source.step, key, built_from(asdict(settings)))


def _key(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().contiguous().flatten()
        digest.update(name.encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
