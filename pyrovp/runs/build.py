"""From a configuration's `_target_` nodes to what they name, and to the device.

    {"_target_": "pyrovp.models.dlh", "levels": 3}   ->   pyrovp.models.dlh(levels=3)

A user's mistake becomes a `ValueError` with the key and, where a name was misspelt, the nearest.
"""

import inspect
import re
from typing import Any

import torch
from omegaconf import OmegaConf

from pyrovp.errors import RunError
from pyrovp.runs.nodes import brief, made, named

__all__ = ["brief", "choose_device", "device_name", "make", "make_guide"]


def make(key: str, node: Any, **given: Any) -> Any:
    """Calls a node's `_target_` with its arguments and those `given`.

    Args:
        key: The node's place in the configuration.
        node: `_target_` and arguments; nodes inside it are made first.
        given: Arguments that a configuration cannot hold; they count before the node's.

    Raises:
        ValueError: With the key, if there is no such target, it has no such argument, or it
            refuses one.
    """
    node = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    named(key, node)  # refuses what is no node
    return made(key, node, **given)


def make_guide(node: Any, model: Any) -> Any:
    """Makes a guide, which is given what it asks for to share: the model or its hierarchy."""
    accepted = inspect.signature(named("guide", node)).parameters
    if "model" in accepted:
        return make("guide", node, model=model)
    return make("guide", node, hierarchy=model.hierarchy)


def choose_device(name: str, local: int = 0) -> torch.device:
    """The device of that name.

    Args:
        name: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
        local: Of the processes on this machine, the number of the one that asks: where no GPU is
            named it gets the one of its number.

    Raises:
        ValueError: If there is no such device; a RunError if this machine has not got it.
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
        raise RunError(  # on another machine the same settings make a run
            f"device={name} was asked for, but torch {torch.__version__} sees {count} CUDA "
            f"devices here; use device=auto, or device=cpu"
        )
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
