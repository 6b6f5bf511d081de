"""The reference: every public name of a module, with the file's own words before it.

    .. public:: pyrovp.gates

shows, file by file, the docstring of the file and what `pyrovp.gates.__all__` takes from it, each
with the shortest line that imports it.
"""

import inspect
import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["PublicIndex", "PublicNames", "import_line", "public", "setup"]


def public(package: str) -> dict[str, list[str]]:
    """The public names of a module by the file that defines them."""
    module = import_module(package)
    files: dict[str, list[str]] = {}
    for name in module.__all__:
        files.setdefault(_home(module, name), []).append(name)
    return files


def import_line(home: str, name: str) -> str:
    """The shortest import of a name: from pyrovp, from its package, or from its file."""
    parts = home.split(".")
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        if name in getattr(import_module(module), "__all__", ()):
            return f"from {module} import {name}"
    return f"from {home} import {name}"


def _home(module: ModuleType, name: str) -> str:
    """The module that defines a name which a package hands on."""
    value = getattr(module, name)
    home = getattr(value, "__module__", None)
    if inspect.isclass(value) or inspect.isfunction(value):
        if getattr(import_module(home), name, None) is value:
            return home
    # A constant, or a name for a type: the file that lists it.
    for child in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{module.__name__}."):
        if name in getattr(import_module(child.name), "__all__", ()):
            return child.name
    return module.__name__


class PublicNames(SphinxDirective):
    """The directive; its argument is a package or a module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The files' docstrings and their public names."""
        lines: list[str] = []
        for home, names in public(self.arguments[0]).items():
            lines += [f".. rubric:: {home.replace('.', '/')}.py", "   :class: file", ""]
            lines += [f".. automodule:: {home}", ""]
            for name in names:
                lines += self._one(home, name, getattr(import_module(home), name))
        return self.parse_text_to_nodes("\n".join(lines))

    def _one(self, home: str, name: str, value: Any) -> list[str]:
        if inspect.isclass(value):
            kind, options = "autoclass", ["   :members:"]
        elif inspect.isfunction(value):
            kind, options = "autofunction", []
        else:
            kind, options = "autodata", ["   :no-value:"]
        return [f".. {kind}:: {home}.{name}", *options, ""]


class PublicIndex(SphinxDirective):
    """The public names of a module in one list of links."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A paragraph of links, in the order of the alphabet."""
        links = [
            f":py:obj:`{name} <{home}.{name}>`"
            for home, names in public(self.arguments[0]).items()
            for name in names
        ]
        return self.parse_text_to_nodes(" · ".join(sorted(links, key=str.casefold)))


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("class", "exception", "function", "data"):
        home, _, own = name.rpartition(".")
        lines[:0] = [f"``{import_line(home, own)}``", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive, and the import to each name's text once napoleon has read it."""
    app.add_directive("public", PublicNames)
    app.add_directive("public-index", PublicIndex)
    app.connect("autodoc-process-docstring", _process, priority=600)
    return {"parallel_read_safe": True}
