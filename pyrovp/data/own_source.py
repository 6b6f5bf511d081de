"""A user's own source, by the name of its class: `--source package.module:Class`."""

import importlib
import re

from pyrovp.data.errors import DataError
from pyrovp.data.generated import GENERATED
from pyrovp.data.registry import SOURCES
from pyrovp.data.sources.base import Source

__all__ = ["load_source"]


def load_source(place: str) -> Source:
    """Imports a class and makes a source of it, with everything a source has to say.

    Args:
        place: `package.module:Class`; the class is called without arguments.

    Raises:
        DataError: If there is no such class, or it is not a whole source.

    Example:
        >>> load_source("pyrovp.data.readers.video:read_video")
        Traceback (most recent call last):
        ...
        pyrovp.data.errors.DataError: --source pyrovp.data.readers.video:read_video is no \
subclass of pyrovp.data.sources.base.Source
    """
    what = f"--source {place}"
    kind = _imported(place)
    if not (isinstance(kind, type) and issubclass(kind, Source)):
        raise DataError(f"{what} is no subclass of pyrovp.data.sources.base.Source")
    absent = [name for name in Source.__annotations__ if not hasattr(kind, name)]
    absent += sorted(kind.__abstractmethods__)
    if absent:
        raise DataError(f"{what} lacks {', '.join(absent)}; docs/data.md has an example")
    if not re.fullmatch(r"[A-Za-z0-9_]+", kind.name):
        raise DataError(f"{what} has the name {kind.name!r}; use letters, digits and _")
    if kind.name in GENERATED | SOURCES:
        raise DataError(f"{what} has the name of pyrovp's own {kind.name}; give it another")
    if kind.channels not in (1, 3):
        raise DataError(f"{what} has channels = {kind.channels}; store 1 (gray) or 3 (colour)")
    try:
        return kind()
    except TypeError as error:
        raise DataError(f"{what} cannot be made without arguments: {error}") from error


def _imported(place: str) -> object:
    module, _, name = place.partition(":")
    if not (module and name):
        raise DataError(f"--source takes package.module:Class, got {place}")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"--source {place}: {module} cannot be imported ({error}); go to its folder, or name "
            "that in the environment variable PYTHONPATH"
        ) from error
    if not hasattr(found, name):
        raise DataError(f"--source {place}: {found.__file__} has no class {name}")
    return getattr(found, name)
