"""What ends a run with a sentence instead of a stack trace."""

__all__ = ["DamagedCheckpoint", "NonFiniteLoss", "RunError"]


class RunError(ValueError):
    """A run that cannot begin or go on; the text says why and what to do."""


class DamagedCheckpoint(RunError):
    """A checkpoint whose bytes are not those that were written."""


class NonFiniteLoss(RunError):
    """The loss or the norm of its gradient became NaN or infinite."""
