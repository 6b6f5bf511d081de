"""Pictures inside the page: their bytes as text, in a figure with its caption.

A wide picture keeps a readable size on a narrow screen and scrolls inside its own frame.
"""

import base64
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pyrovp.report.html import Html, tag

__all__ = ["caption", "figure", "film_and_still"]

_CAPTIONS = {
    "predictions.gif": "Truth, model and error: the context in blue, predictions in vermilion",
    "predictions.png": "Truth, model and error at some frames",
    "curves.png": "Scores over the predicted frames, beside the baselines",
    "levels.png": "KL of each level over time, and where gates are open",
    "channels.png": "KL of the latent channels, the largest first",
    "training.png": "The loss and its parts over the steps of training",
    "best_worst.png": "Some sequences: the truth, the first sample, the best, the worst",
    "samples.gif": "The same, moving",
}
_WIDE = 700  # px from which a picture scrolls on a narrow screen rather than shrink


def caption(path: Path) -> str:
    """What a picture shows, by the name of its file."""
    return _CAPTIONS.get(path.name, path.stem.replace("_", " "))


def figure(path: Path, shows: str) -> Html:
    """A picture with its caption, or a sentence where the file is no picture.

    Args:
        path: A PNG or GIF.
        shows: What is on it.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            kind = Image.MIME[image.format or ""]
    except (OSError, UnidentifiedImageError, KeyError) as error:
        said = str(error) if isinstance(error, OSError) and error.errno else "it is no picture"
        return tag("p", f"{path.name} cannot be shown: {said}", class_="note")
    encoded = base64.b64encode(content).decode()
    picture = tag(
        "img", src=f"data:{kind};base64,{encoded}", alt=shows, width=width, height=height
    )  # fmt: skip
    frame = tag(
        "div", picture, class_="frame wide" if width >= _WIDE else "frame", tabindex=0,
        role="group", aria_label=shows,
    )  # fmt: skip
    return tag("figure", frame, tag("figcaption", shows, " ", tag("code", path.name)))


def film_and_still(paths: list[Path], shows: str) -> Html:
    """The files of one exhibit, moving pictures first."""
    ordered = sorted(paths, key=lambda path: path.suffix != ".gif")
    return tag("div", *(figure(path, shows) for path in ordered), class_="exhibit")
