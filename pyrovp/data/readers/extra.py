"""Packages that only some data sets need, imported where they are used.

pyrovp works without them; `pip install 'pyrovp[data]'` adds them.
"""

import importlib
from typing import Any

from pyrovp.data.errors import DataError

__all__ = ["extra"]


def extra(module: str, purpose: str) -> Any:
    """Imports a module of the extra `data`.

    Args:
        module: Its import name.
        purpose: What it is needed for, in words: "reading videos".

    Raises:
        DataError: If it cannot be imported; says how to install it.

    Example:
        >>> extra("json", "reading JSON").loads("1")
        1
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{purpose} needs the package {module}, which cannot be imported ({error}); "
            f"run: pip install 'pyrovp[data]'"
        ) from error
