"""From the nodes of a configuration to what they name, the inner ones first.

    {"_target_": "pyrovp.Level", "memory": {"_target_": "pyrovp.GRU", "size": 8}, ...}
    ->   pyrovp.Level(memory=pyrovp.GRU(size=8), ...)

`_partial_: true` leaves the call to whoever receives it, `_args_` are arguments without names: the
words are Hydra's. A mistake is told with its place, `model.hierarchy.levels[1].memory.size`, with
what was expected and, where a name was misspelt, with the nearest.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from pyrovp.checks import nearest
from pyrovp.runs.fits import annotations, fits, item, needed

__all__ = ["brief", "made", "named"]

_WORDS = ("_target_", "_partial_", "_args_")


class _Placed(ValueError):
    """A mistake whose place is told already."""


@contextmanager
def _placed(key: str) -> Iterator[None]:
    """Tells the place of what is refused inside."""
    try:
        yield
    except ValueError as error:
        if type(error) is not ValueError:  # placed, or it says more to someone who waits for it
            raise
        raise _Placed(f"{key}: {error}") from error


class _Later(partial[Any]):
    """A call that is left to whoever receives it, and still knows its place."""

    key: str

    def __call__(self, *args: Any, **named: Any) -> Any:
        with _placed(self.key):
            return super().__call__(*args, **named)


def made(key: str, node: Any, **given: Any) -> Any:
    """What a node names; lists, mappings and plain values are what they are.

    Args:
        key: The node's place in the configuration.
        node: Of plain dictionaries, lists and values.
        given: Arguments that a configuration cannot hold; they count before the node's.

    Raises:
        ValueError: With the key, if there is no such target, it has no such argument, or it
            refuses one.
    """
    if isinstance(node, list):
        return [made(f"{key}[{index}]", item) for index, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    if "_target_" not in node:
        return {name: made(f"{key}.{name}", inside) for name, inside in node.items()}
    target = named(key, node)
    later = node.get("_partial_") is True
    listed = [made(f"{key}._args_[{n}]", one) for n, one in enumerate(node.get("_args_", []))]
    written = {name: inside for name, inside in node.items() if name not in _WORDS}
    parameters = _parameters(target)
    if parameters is not None:
        _check_names(key, str(node["_target_"]), parameters, written, listed, given, later)
    arguments: dict[str, Any] = {}
    hints = annotations(target)
    for name, inside in written.items():
        if name in given:
            continue
        place = f"{key}.{name}"
        arguments[name] = value = made(place, inside)
        usual = parameters is not None and name in parameters and value is parameters[name].default
        if name in hints and not usual:
            _check(place, value, hints[name], inside)
    if later:
        call = _Later(target, *listed, **arguments)
        call.key = key
        return call
    try:
        with _placed(key):
            return target(*listed, **arguments, **given)
    except (TypeError, AttributeError) as error:
        raise _Placed(
            f"{key}: {brief(node)} cannot be made, probably because a value is of the wrong "
            f"type: {error}. HYDRA_FULL_ERROR=1 in the environment shows where"
        ) from error


def named(key: str, node: Any) -> Callable[..., Any]:
    """What a node's `_target_` names.

    Raises:
        ValueError: With the key and the nearest name, if there is no such thing.
    """
    path = node.get("_target_") if isinstance(node, Mapping) else None
    if not isinstance(path, str):
        raise _Placed(f"{key} needs a _target_ (what to call), got {brief(node)}")
    first, *rest = path.split(".")
    found: Any = _module(key, first, path)
    at = first
    for part in rest:
        inside = f"{at}.{part}"
        if not hasattr(found, part):
            found = _module(key, inside, path, found)
        else:
            found = getattr(found, part)
        at = inside
    if not callable(found):
        raise _Placed(f"{key}: {path} is a {type(found).__name__}, not something to call")
    return found


def brief(node: Any) -> str:
    """A section of the configuration in one line."""
    if isinstance(node, Mapping) and node:
        listed = ", ".join(f"{k}={brief(v)}" for k, v in node.items() if k != "_target_")
        target = node.get("_target_")
        return listed if target is None else f"{str(target).rpartition('.')[2]}({listed})"
    if isinstance(node, list):
        return f"[{', '.join(map(brief, node))}]"
    return str(node)


def _module(key: str, path: str, whole: str, around: Any = None) -> ModuleType:
    """A module, or a sentence on why there is none of the name."""
    parent, _, name = path.rpartition(".")
    try:
        if around is None or isinstance(around, ModuleType):
            return import_module(path)
    except Exception as error:  # whatever goes wrong inside of a module
        if not isinstance(error, ModuleNotFoundError) or error.name != path:
            what = f"{type(error).__name__}: {error}"
            raise _Placed(f"{key}: importing {path}, for {whole}, failed: {what}") from error
    if around is None:
        raise _Placed(
            f"{key}: there is no {whole}: no module named {path}; a package of your own is found "
            f"where PYTHONPATH points, for example PYTHONPATH=."
        )
    known = [one for one in getattr(around, "__all__", dir(around)) if not one.startswith("_")]
    guess = nearest(name, known)
    raise _Placed(f"{key}: there is no {path}; {guess.partition(' known:')[0]}")


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """A call's arguments; None where it takes any, or does not tell."""
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None
    variable = inspect.Parameter.VAR_KEYWORD
    return None if any(p.kind is variable for p in parameters.values()) else parameters


def _check_names(
    key: str,
    target: str,
    parameters: Mapping[str, inspect.Parameter],
    written: Mapping[str, Any],
    listed: Sequence[Any],
    given: Mapping[str, Any],
    later: bool,
) -> None:
    """Refuses arguments that there are not, and calls that lack some."""
    free = {name for name in list(parameters)[len(listed) :]} - set(given)
    for name in given:
        if name not in parameters:
            raise _Placed(f"{key}: {target} takes no argument {name}, which it is given here")
    for name in written:
        if name not in free and name not in given:
            raise _Placed(f"{key}.{name} is no argument of {target}; {nearest(name, free)}")
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for name, parameter in parameters.items():
        lacks = name in free and name not in written and parameter.kind in kinds
        if lacks and parameter.default is parameter.empty and not later:
            raise _Placed(f"{key}.{name} is missing; {target} has no default for it")


def _check(place: str, value: Any, annotation: Any, node: Any) -> None:
    """Refuses a value of another type than its argument's."""
    one = item(annotation)
    if isinstance(node, list) and one is not None:
        for index, inside in enumerate(node):
            _check(f"{place}[{index}]", value[index], one, inside)
    elif not fits(value, annotation):
        raise _Placed(f"{place}={brief(node)}: {needed(annotation)} is needed")
