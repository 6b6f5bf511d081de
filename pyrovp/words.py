"""Words around numbers."""

__all__ = ["counted"]


def counted(number: int | str, what: str) -> str:
    """So many things, one of them in the singular.

    Args:
        number: How many, or the same as it is to be printed.
        what: One of them; an s makes the plural.

    Example:
        >>> counted(1, "clip"), counted(20, "clip")
        ('1 clip', '20 clips')
    """
    return f"{number} {what}{'s' * (str(number) != '1')}"
