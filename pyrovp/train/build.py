"""From a configuration's `_target_` nodes to what they name, and to the device.

    {"_target_": "pyrovp.models.dlh", "levels": 3}   ->   pyrovp.models.dlh(levels=3)

A user's mistake becomes a `ValueError` with the key and, where a name was misspelt, the nearest.
"""

import inspect
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from pyrovp.checks import nearest

__all__ = ["brief", "choose_device", "device_name", "make", "make_guide"]


def make(key: str, node: Any, **given: Any) -> Any:
    """Calls a node's `_target_` with its arguments and those `given`.

    Args:
        key: The node's place in the configuration.
        node: `_target_` and arguments; nodes inside it are made first.
        given: Arguments that a configuration cannot hold; they count before the node's.

    Raises:
        ValueError: If there is no such target, it has no such argument, or it refuses one.
    """
    call = _prepared(key, node)
    try:
        return call(**given)
    except (TypeError, AttributeError) as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise ValueError(
                f"{key}: {brief(node)} cannot be made, probably because a value is of the wrong "
                f"type: {error}. HYDRA_FULL_ERROR=1 in the environment shows where"
            ) from error
        accepted = [name for name in inspect.signature(call.func).parameters if name not in given]
        raise ValueError(
            f"{key}.{unknown[1]} is no argument of {node['_target_']}; "
            f"{nearest(unknown[1], accepted)}"
        ) from None


def make_guide(node: Any, model: Any) -> Any:
    """Makes a guide, which is given what it asks for to share: the model or its hierarchy."""
    accepted = inspect.signature(_prepared("guide", node).func).parameters
    if "model" in accepted:
        return make("guide", node, model=model)
    return make("guide", node, hierarchy=model.hierarchy)


def _prepared(key: str, node: Any) -> partial[Any]:
    """The call without `given`: its own errors then arrive as they are."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(f"{key} needs a _target_ (what to call), got {node!r}")
    try:
        return instantiate(node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        place = re.search(r"full_key: (\S+)", str(error))
        where = f"{key}.{place[1]}" if place else key
        raise ValueError(f"{where}: {_innermost(error)}") from error


def choose_device(name: str, local: int = 0) -> torch.device:
    """The device of that name.

    Args:
        name: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
        local: Of the processes on this machine, the number of the one that asks: where no GPU is
            named it gets the one of its number.

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise ValueError(f"device={name} is unknown; use auto, cpu, cuda or cuda:1")
    if name == "cpu":
        return torch.device("cpu")
    count, index = torch.cuda.device_count(), int(match[1] or local)
    if index >= count:
        raise ValueError(
            f"device={name} was asked for, but torch {torch.__version__} sees {count} CUDA "
            f"devices here; use device=auto, or device=cpu"
        )
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def brief(node: Any) -> str:
    """A section of the configuration in one line."""
    if isinstance(node, Mapping):
        listed = ", ".join(f"{k}={brief(v)}" for k, v in node.items() if k != "_target_")
        target = node.get("_target_")
        return listed if target is None else f"{target.rpartition('.')[2]}({listed})"
    if isinstance(node, list):
        return f"[{', '.join(map(brief, node))}]"
    return str(node)


def _innermost(error: BaseException) -> str:
    """What went wrong at the bottom."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]
