"""Settings of a whole process, for programs that own theirs.

A training step allocates and frees the same large tensors again and again. glibc gives every
block beyond 32 MiB straight back to the system, which hands out zeroed pages on first touch the
next time: on a CPU that can cost as much as a third of the step. `tune_allocator` makes glibc
keep what it has.

Python's collector of cycles looks through all objects again and again, those of every imported
module too. `settled` takes what is there out of its sight.

Both change the process as a whole, so nothing in `pyrovp` calls them: a script that trains, or a
benchmark, does.
"""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Tuning", "settled", "tune_allocator"]

# Parameters of mallopt(3), from glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4


class Tuning(NamedTuple):
    """What `tune_allocator` did.

    Attributes:
        applied: Whether the allocator now keeps freed memory.
        reason: What was set, or why nothing was.
    """

    applied: bool
    reason: str


def tune_allocator(top_pad: int = 512) -> Tuning:
    """Makes glibc's allocator keep freed memory instead of returning it to the system.

    `M_MMAP_MAX = 0`: large blocks come from the heap; `M_TRIM_THRESHOLD = -1`: the heap never
    shrinks; `M_TOP_PAD`: it grows in steps of `top_pad`. The process then holds its peak of
    memory until it ends. Blocks allocated earlier are not affected; calling it twice does no harm.

    Args:
        top_pad: Growth of the heap in MiB, from 0 to 2047.

    Raises:
        ValueError: If `top_pad` is out of range.
    """
    if not 0 <= top_pad < 2048:
        raise ValueError(f"top_pad must be 0 to 2047 MiB, got {top_pad}")
    preloaded = os.environ.get("LD_PRELOAD", "")
    for other in ("jemalloc", "tcmalloc", "mimalloc"):
        if other in preloaded:
            return Tuning(False, f"{other} is preloaded in place of glibc's allocator")
    try:
        process = ctypes.CDLL(None)
        process.gnu_get_libc_version.restype = ctypes.c_char_p
        version = process.gnu_get_libc_version().decode()
        mallopt = process.mallopt
    except (AttributeError, OSError, TypeError):
        return Tuning(False, "the C library of this process is not glibc")
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: top_pad << 20}
    if not all(mallopt(name, value) for name, value in settings.items()):
        return Tuning(False, f"glibc {version} refused a setting")
    return Tuning(True, f"glibc {version} keeps freed memory and grows by {top_pad} MiB")


@contextmanager
def settled() -> Iterator[None]:
    """Objects that exist now are not searched for cycles until the block ends."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
