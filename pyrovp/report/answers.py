"""What was asked of a run after its training: evaluations and analyses, one article each.

A form that is not known, of another version or of a user's own, is said to be so.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pyrovp.report.contents import Contents, Part
from pyrovp.report.html import Html, join, tag
from pyrovp.report.pictures import caption, figure, film_and_still
from pyrovp.report.tables import exhibit_table, facts_table, scores_table
from pyrovp.report.values import shown
from pyrovp.words import counted

__all__ = ["analysis", "evaluation", "guarded", "rest", "scores"]

_TABLE = ("protocol", "sequences", "first", "labels", "rows")  # shown as a table of scores


def rest(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the table of scores does not show."""
    return {key: value for key, value in facts.items() if key not in _TABLE}


def guarded(name: str, make: Callable[[], Html | None]) -> Html | None:
    """What `make` returns, or a sentence where a file's facts do not have the form it needs.

    Args:
        name: What would be shown.
        make: Makes it.
    """
    try:
        return make()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        said = f"{name}: of a form that is not known here ({type(error).__name__}: {error})"
        return tag("p", said, class_="note")


def scores(part: Part) -> Html | None:
    """The scores of an evaluation, where it has any."""
    if "rows" not in part.facts:
        return None
    return guarded("scores", lambda: scores_table(part.facts))


def evaluation(part: Part) -> Html:
    """An evaluation after the run's own."""
    facts = rest(part.facts)
    said = facts.pop("sentences", None)
    pictures = join(*(figure(path, caption(path)) for path in part.pictures()))
    return tag(
        "article", tag("h3", part.name), _said(said), scores(part), pictures, facts_table(facts)
    )


def analysis(part: Part, contents: Contents) -> Html:
    """What was asked of the run, and what was found."""
    facts, folder = part.facts, part.folder or contents.path
    exhibits = facts.get("exhibits")
    shows = exhibits.items() if isinstance(exhibits, Mapping) else ()
    return tag(
        "article",
        tag("h3", part.name),
        guarded("question", lambda: _asked(facts["asked"], contents)),
        _said(facts.get("sentences")),
        *(guarded(str(name), partial(_exhibit, exhibit, folder)) for name, exhibit in shows),
        guarded("figures", lambda: facts_table(facts["facts"])),
    )


def _asked(asked: Mapping[str, Any], contents: Contents) -> Html:
    """What the question was, and whether its weights are still the run's."""
    settings = {key: value for key, value in asked["analysis"].items() if key != "_target_"}
    settings |= {key: asked[key] for key in ("clips", "length", "context", "seed", "weights")}
    given = {key: value for key, value in settings.items() if value is not None}
    words = ", ".join(f"{key} {shown(value)}" for key, value in given.items())
    trained, step = (contents.done or {}).get("steps"), asked["step"]
    older = asked["weights"] == "last" and trained not in (None, step)
    note = (
        f" The run has been trained to {counted(shown(trained), 'step')} since." if older else None
    )
    return tag("p", f"{words}; after {counted(shown(step), 'step')}.", note, class_="asked")


def _said(sentences: Any) -> Html | None:
    if not isinstance(sentences, list) or not sentences:
        return None
    return tag("ul", *(tag("li", str(sentence)) for sentence in sentences))


def _exhibit(exhibit: Mapping[str, Any], folder: Path) -> Html:
    title = str(exhibit["title"])
    if "rows" in exhibit:
        return exhibit_table(title, exhibit["columns"], exhibit["rows"])
    return film_and_still([folder / Path(file).name for file in exhibit["files"]], title)
