"""One page of a run, in one file: nothing is fetched, from the network or from beside it.

Style and script are part of the page, and a content security policy names them by their hashes:
the browser would refuse anything else, even if a text in a run's files were to look like markup.
Without scripts the page is the same, but for the sorting of tables.
"""

import base64
import hashlib
from pathlib import Path

from pyrovp.files import atomic_write
from pyrovp.report.contents import Contents, read_contents
from pyrovp.report.html import Html, tag
from pyrovp.report.sections import headline, sections

__all__ = ["write_report"]

NAME = "report.html"


def write_report(folder: str | Path) -> Path:
    """Writes `report.html` into the folder of a run, whole or not at all.

    Args:
        folder: Of a single run, `runs/NAME/seed0`; finished or under way.

    Returns:
        The file.

    Raises:
        RunError: If the folder is none of a run.
    """
    contents = read_contents(Path(folder))
    path = Path(folder) / NAME
    with atomic_write(path) as temporary:
        temporary.write_text(_page(contents), encoding="utf-8")
    return path


def _page(contents: Contents) -> str:
    style, script = (_own(name) for name in ("page.css", "page.js"))
    title = f"{contents.model} on {contents.data}, {contents.path.name}"
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", style),
    )
    body = tag("body", *_body(contents, title), tag("script", script))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _body(contents: Contents, title: str) -> list[Html]:
    parts = sections(contents)
    source = contents.run.facts.get("source")
    links = [tag("a", name, href=f"#{name.lower()}") for name in parts]
    notes = [tag("p", note, class_="note") for note in contents.notes]
    if not contents.run.facts:
        notes.append(tag("p", "This run has no figures yet: it is not finished.", class_="note"))
    main = [tag("section", tag("h2", name, id=name.lower()), part) for name, part in parts.items()]
    return [
        tag("header", tag("h1", title), tag("p", source and str(source), class_="source")),
        *filter(None, [headline(contents)]),
        *notes,
        tag("nav", *links, aria_label="parts of this page"),
        tag("main", *main),
        tag("footer", "Made by pyrovp from ", tag("code", str(contents.path))),
    ]


def _own(name: str) -> Html:
    """A file of this package, as it stands between its tags."""
    return Html(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
