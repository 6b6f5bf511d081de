"""What users import: every name is listed, and its docstring says what its signature does.

Public are the names in `__all__` of `pyrovp` and of the packages and modules right inside it.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from torch import Tensor, nn

import pyrovp

ROOT = Path(__file__).resolve().parents[1]

PRIMITIVES = (
    "cells clocks distributions emission evidence filtering gates heads hierarchy infer levels "
    "nets posteriors predict programs wiring"
).split()
"""Whatever can be built of these has an example in its docstring."""

NOT_OURS = {"args", "kwargs", "validate_args"}
"""Arguments that torch's base classes bring along."""


class Public(NamedTuple):
    """A public class or function.

    Args:
        module: Where it is public.
        name: In that module.
        value: The class or function.
        text: Its docstring.
    """

    module: str
    name: str
    value: Any
    text: str

    def listed(self, title: str) -> set[str]:
        """The names that a section lists in lines such as `a, b: what they are`."""
        found = re.search(rf"^{title}:\n((?: .*\n|\n)+)", self.text + "\n", re.MULTILINE)
        heads = re.findall(r"^    (\w[\w, ]*):", found[1], re.MULTILINE) if found else []
        return {word.strip() for head in heads for word in head.split(",")}

    @property
    def taken(self) -> set[str]:
        """The arguments; protocols and typed dictionaries have none."""
        value = self.value
        if inspect.isclass(value) and (_is_protocol(value) or issubclass(value, dict)):
            return set()
        try:
            return set(inspect.signature(value).parameters) - NOT_OURS
        except ValueError:  # an exception built as all exceptions are
            return set()

    @property
    def open(self) -> bool:
        """Whether it is a class to be derived from."""
        return inspect.isabstract(self.value) or _is_protocol(self.value)


def _is_protocol(value: object) -> bool:
    return bool(getattr(value, "_is_protocol", False))


def _modules() -> Iterator[ModuleType]:
    yield pyrovp
    for part in pkgutil.iter_modules(pyrovp.__path__, "pyrovp."):
        yield importlib.import_module(part.name)


@cache
def public() -> tuple[Public, ...]:
    """Each class and function once, by the module that it is at home in."""
    found = {}
    for module in _modules():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                text = inspect.cleandoc(value.__doc__ or "")
                found[id(value)] = Public(module.__name__, name, value, text)
    return tuple(found.values())


def _raised(function: Any) -> set[str]:
    """Names of the exceptions that the function itself raises."""
    if not inspect.isfunction(function) or function.__code__.co_filename.startswith("<"):
        return set()  # a dataclass's own
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    raises = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    calls = [one.func if isinstance(one, ast.Call) else one for one in raises]
    return {one.id for one in calls if isinstance(one, ast.Name)} - {"NotImplementedError"}


def test_every_module_says_what_it_offers() -> None:
    files = [
        path
        for folder in ("pyrovp", "models", "guides")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    assert len(files) > 200
    assert not [path for path in files if not re.search(r"^__all__\b", path.read_text(), re.M)]


def test_every_name_that_is_listed_is_there() -> None:
    for part in pkgutil.walk_packages(pyrovp.__path__, "pyrovp."):
        if part.name.endswith(".__main__"):
            continue
        module = importlib.import_module(part.name)
        assert not [name for name in module.__all__ if not hasattr(module, name)], part.name


def test_every_name_has_a_docstring() -> None:
    assert len(public()) > 300
    assert not [one for one in public() if not one.text or _generated(one)]


def _generated(one: Public) -> bool:
    """Whether the docstring is the signature that a dataclass or a named tuple writes itself."""
    return one.text.startswith(f"{one.name}(")


def test_methods_have_docstrings() -> None:
    """Their own, or that of the method they implement."""
    assert not [
        f"{one.module}.{one.name}.{name}"
        for one in public()
        if inspect.isclass(one.value)
        for name, part in vars(one.value).items()
        if not name.startswith("_") and (inspect.isfunction(part) or isinstance(part, property))
        if name != "forward" and not inspect.getdoc(getattr(one.value, name))
    ]


def test_arguments_are_those_of_the_signature() -> None:
    wrong = {
        f"{one.module}.{one.name}": one.listed("Args") - one.taken
        for one in public()
        if not one.listed("Args") <= one.taken
    }
    assert not wrong


def test_arguments_are_explained() -> None:
    """All of them, where a sentence does not do: for classes, and from three arguments on."""
    missing = {
        f"{one.module}.{one.name}": sorted(left)
        for one in public()
        if not one.open and (inspect.isclass(one.value) or len(one.taken) > 2)
        if (
            left := one.taken
            - one.listed("Args")
            - one.listed("Attributes")
            - one.listed("Shapes")
        )
    }
    assert not missing


def test_errors_are_explained() -> None:
    missing = {}
    for one in public():
        if _is_protocol(one.value):
            continue
        built = inspect.isclass(one.value)
        makes = [vars(one.value).get(name) for name in ("__init__", "__post_init__")]
        for error in set().union(*map(_raised, makes if built else [one.value])):
            if error not in one.text:
                missing[f"{one.module}.{one.name}"] = error
    assert not missing


def test_tensors_have_shapes() -> None:
    """Of networks, and of functions that return a tensor: `[B, T]` somewhere in the docstring."""
    missing = []
    for one in public():
        text, value = one.text, one.value
        if inspect.isclass(value):
            text += (getattr(value, "forward", None) or value).__doc__ or ""
            of_tensors = issubclass(value, nn.Module) and not one.open
        else:
            of_tensors = inspect.signature(value).return_annotation is Tensor
        if of_tensors and "[" not in text:
            missing.append(f"{one.module}.{one.name}")
    assert not missing


def test_primitives_have_an_example_that_runs() -> None:
    primitives = [
        one
        for one in public()
        if inspect.isclass(one.value) and not one.open and not issubclass(one.value, tuple)
        if one.value.__module__.split(".")[1] in PRIMITIVES
    ]
    assert len(primitives) > 60
    assert not [
        f"{one.module}.{one.name}"
        for one in primitives
        if not re.search(r"^ *>>> (?!.*doctest: \+SKIP)", one.text, re.MULTILINE)
    ]
