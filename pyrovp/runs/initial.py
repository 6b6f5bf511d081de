"""Fine-tuning: a run that starts from the weights of another one.

    python experiments/run.py +model=dlh +data=moving_ball init_from=runs/dlh-.../seed0

Both need the same weights by name and shape; what differs is listed. The new run is named by what
it starts from, not by where that lies: its steps, its optimiser and its annealing begin anew.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pyrovp.errors import RunError
from pyrovp.runs.tensors import check_fit, stored_once
from pyrovp.runs.trained import load

__all__ = ["InitialWeights", "initial_weights"]


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run starts from.

    Args:
        path: The run that they are from.
        step: Its finished steps.
        key: Sixteen hexadecimal digits that name their values.
    """

    path: Path
    step: int
    key: str

    def __str__(self) -> str:
        return f"{self.path} after {self.step} steps ({self.key})"


def initial_weights(path: str | None, objective: nn.Module) -> InitialWeights | None:
    """Puts another run's weights into an objective with modules `model` and `guide`.

    They are those that the run itself was evaluated with (`evaluate.checkpoint`).

    Args:
        path: The run's folder; None: nothing is done.
        objective: Of the run that begins.

    Raises:
        RunError: If there is no such run, or its weights have other names or shapes.
    """
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
    return InitialWeights(source.path, source.step, _key(stored_once(given)))


def _key(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().contiguous().flatten()
        digest.update(name.encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
