"""What ends a run with a sentence instead of a stack trace."""

import signal

__all__ = ["DamagedCheckpoint", "LostProcess", "NonFiniteLoss", "RunError", "Stopped"]


class RunError(ValueError):
    """A run that cannot begin or go on; the text says why and what to do.

    Attributes:
        code: The exit code of a command that ends so.
    """

    code = 2


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
