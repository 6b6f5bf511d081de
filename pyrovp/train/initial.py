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

from pyrovp.train.errors import RunError
from pyrovp.train.trained import load

__all__ = ["InitialWeights", "check_shapes", "initial_weights"]

_LISTED = 8


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
    given = nn.ModuleDict({"model": source.model, "guide": source.guide}).state_dict()
    check_shapes(_once(given), _once(objective.state_dict()), f"init_from={path}")
    objective.load_state_dict(given)
    return InitialWeights(source.path, source.step, _key(given))


def check_shapes(given: Mapping[str, Tensor], needed: Mapping[str, Tensor], where: str) -> None:
    """Refuses weights that are not those that are needed, by name and shape.

    Args:
        given, needed: Tensors by name.
        where: What the text begins with.

    Raises:
        RunError: With a list of what differs.
    """
    differ = [
        f"{name}: {_shape(given.get(name))} there, {_shape(needed.get(name))} here"
        for name in dict.fromkeys([*needed, *given])
        if _shape(given.get(name)) != _shape(needed.get(name))
    ]
    if differ:
        more = [f"and {len(differ) - _LISTED} more"] * (len(differ) > _LISTED)
        listed = "\n  ".join([*differ[:_LISTED], *more])
        raise RunError(
            f"{where}: {len(differ)} of {len(needed)} weights do not fit; choose the same model, "
            f"sizes and frames as in its config.yaml\n  {listed}"
        )


def _once(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor by its first name: model and guide share most of theirs."""
    seen: dict[tuple[int, torch.Size], str] = {}
    for name, tensor in weights.items():
        seen.setdefault((tensor.data_ptr(), tensor.shape), name)
    return {name: weights[name] for name in seen.values()}


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else str(tuple(tensor.shape))


def _key(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().contiguous().flatten()
        digest.update(name.encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
