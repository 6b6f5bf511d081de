"""The letters of pictures that are not matplotlib's own."""

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

__all__ = ["font", "legible"]


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The sans-serif font that comes with matplotlib, so that pictures look alike everywhere."""
    return ImageFont.truetype(str(_file()), size)


def legible(text: str) -> str:
    r"""The text with letters that the font has; others become escapes.

    Example:
        >>> print(legible("größe 日.mp4"))
        größe \u65e5.mp4
    """
    known = _known()
    return "".join(
        letter
        if known.get_char_index(ord(letter)) and letter.isprintable()
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _file() -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def _known() -> FT2Font:
    return FT2Font(str(_file()))
