"""What ends a run with a sentence instead of a stack trace."""

import errno
import signal

__all__ = [
    "BadSettings",
    "DamagedCheckpoint",
    "LostProcess",
    "NonFiniteLoss",
    "RunError",
    "Stopped",
    "remedy",
]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


class RunError(ValueError):
    """A run that cannot begin or go on; the text says why and what to do.

    Attributes:
        code: The exit code of a command that ends so.
    """

    code = 2


class BadSettings(RunError):
    """Settings that make no run, here or elsewhere, now or later."""


class DamagedCheckpoint(RunError):
    """A checkpoint whose bytes are not those that were written."""


class LostProcess(RunError):
    """Another process of the same run has ended or does not answer."""


class NonFiniteLoss(RunError):
    """The loss or the norm of its gradient became NaN or infinite.

    Args:
        text: What is said.
        step: The step at which it did, from 1.
    """

    def __init__(self, text: str, step: int) -> None:
        super().__init__(text)
        self.step = step


class Stopped(RunError):
    """The run was asked to end, and has saved where it is."""

    code = 128 + signal.SIGTERM


def remedy(error: OSError, elsewhere: str) -> str:
    """What to do where a file could not be written, as the end of a sentence.

    Args:
        error: Of the system.
        elsewhere: What would write to another place.

    Example:
        >>> remedy(OSError(errno.EROFS, "Read-only file system"), "choose out=/tmp/runs")
        'allow writing there, or choose out=/tmp/runs'
    """
    if error.errno in _FULL:
        return f"make room, and the same command goes on; or {elsewhere}"
    if error.errno in _FORBIDDEN:
        return f"allow writing there, or {elsewhere}"
    if error.errno in _IN_THE_WAY:
        return f"a file is where a folder is needed, or the reverse: move it away, or {elsewhere}"
    return f"see why, and the same command goes on; or {elsewhere}"
