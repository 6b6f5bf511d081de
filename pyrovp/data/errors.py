"""What can be wrong with a user's files, each as one sentence that says what to do.

They are `ValueError`s: a run stops at them like at any other wrong setting.
"""

__all__ = ["DamagedFile", "DataError", "MissingFiles"]


class DataError(ValueError):
    """Something about the files of a data set; the base of the others."""


class MissingFiles(DataError):
    """Files that should be there are not; names the places searched and where to get them."""


class DamagedFile(DataError):
    """A file that is there but cannot be used.

    Args:
        file: The file, and where in it.
        found: What was found.
        expected: What was expected.
        advice: What to do.

    Example:
        >>> print(DamagedFile("traj.tfrecords, record 3", "a CRC of 1", "2", "download it again"))
        traj.tfrecords, record 3: found a CRC of 1, expected 2; download it again
    """

    def __init__(self, file: object, found: str, expected: str, advice: str) -> None:
        super().__init__(f"{file}: found {found}, expected {expected}; {advice}")
        self.file = str(file)

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send their errors home; an exception is rebuilt from its one argument.
        return _rebuilt, (self.file, str(self))


def _rebuilt(file: str, text: str) -> DamagedFile:
    error = DamagedFile.__new__(DamagedFile)
    ValueError.__init__(error, text)
    error.file = file
    return error
