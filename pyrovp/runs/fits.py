"""Whether a value of a configuration is what an argument asks for, by the argument's annotation.

    size: int = "many"                 model.memory.size=many: a whole number is needed
    gate: Gate | None = VaDE()         model.gate=VaDE(): a Gate (Forced, MixtureGate) or null ...

Annotations that say nothing checkable let everything through: what is refused here is certainly
wrong, and what is not may still be.
"""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["annotations", "fits", "item", "needed"]

_PLAIN = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a name",
    NoneType: "null",
}


def annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a call's arguments; empty where they cannot be read."""
    function = inspect.getattr_static(target, "__init__") if isinstance(target, type) else target
    try:
        return get_type_hints(function)
    except (TypeError, NameError, AttributeError):  # names that only a type checker imports
        return {}


def item(annotation: Any) -> Any | None:
    """What the items of a list are to be, where the annotation is a list of one thing, or null.

    Example:
        >>> item(Sequence[int] | None), item(tuple[int, int]), item(int)
        (<class 'int'>, None, None)
    """
    if get_origin(annotation) in (Union, UnionType):
        rest = [one for one in get_args(annotation) if one is not NoneType]
        return item(rest[0]) if len(rest) == 1 else None
    kind, inside = get_origin(annotation), get_args(annotation)
    if not isinstance(kind, type) or not issubclass(kind, Sequence):
        return None
    one = kind is not tuple or inside[-1] is ...
    return inside[0] if one else None


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value may be what the annotation says; a list may stand for any sequence.

    Example:
        >>> fits(3, float), fits(3.0, int), fits([1, 2], tuple[int, ...]), fits(None, int | None)
        (True, False, True, True)
    """
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    kind = origin or annotation
    if kind is Callable:
        return callable(value)
    if not isinstance(kind, type):  # a type variable, Any, ...
        return True
    if kind in (int, float) or kind is bool:
        wider = (int, float) if kind is float else kind
        return isinstance(value, wider) and isinstance(value, bool) == (kind is bool)
    if kind is not str and issubclass(kind, Sequence):
        return isinstance(value, Sequence) and _items_fit(value, kind, inside)
    if issubclass(kind, os.PathLike):
        return isinstance(value, str | kind)
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol, which is for the type checker
        return True


def _items_fit(value: Sequence[Any], kind: type, inside: tuple[Any, ...]) -> bool:
    if isinstance(value, str) or not inside:
        return not isinstance(value, str)
    if kind is tuple and inside[-1] is not ...:
        pairs = zip(value, inside, strict=False)
        return len(value) == len(inside) and all(fits(*pair) for pair in pairs)
    return all(fits(item, inside[0]) for item in value)


def needed(annotation: Any) -> str:
    """An annotation in words.

    Example:
        >>> needed(int | None), needed(Literal["each", "pooled"])
        ('a whole number or null', 'each or pooled')
    """
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(map(needed, inside))
    if origin is Literal:
        return " or ".join(map(str, inside))
    kind = origin or annotation
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Callable:
        return "something to call (a _target_)"
    if not isinstance(kind, type):
        return str(kind)
    if issubclass(kind, Mapping):
        return "a mapping"
    if issubclass(kind, Sequence):
        return f"a list{_of(kind, inside)}"
    known = sorted(one for one in _below(kind) if not one.startswith("_"))
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return f"{article} {kind.__name__}" + (f" ({', '.join(known)})" if known else "")


def _of(kind: type, inside: tuple[Any, ...]) -> str:
    """What a list holds, where that is one type."""
    plain = {int: "whole numbers", float: "numbers", bool: "true and false", str: "names"}
    items = [item for item in inside if item is not ...]
    named = plain.get(items[0], getattr(items[0], "__name__", "")) if len(set(items)) == 1 else ""
    number = f" {len(items)}" if kind is tuple and ... not in inside and items else ""
    return f" of{number} {named}" if named else ""


def _below(kind: type) -> set[str]:
    """The names of the classes to choose among, where `kind` is abstract."""
    if not inspect.isabstract(kind) and not any(map(inspect.isabstract, kind.__mro__)):
        return set()
    found: set[str] = set()
    below: type
    for below in kind.__subclasses__():
        found |= _below(below) | ({below.__name__} if not inspect.isabstract(below) else set())
    return found
