"""A link to the code: {source}`pyrovp/sweep.py:Sweep._draw` leads to that very line of the site.

The pages with the code are viewcode's. It shows what is documented; this role also asks it for
private functions, in which much of the mathematics stands. A file or a name that is not there is
a warning, and so an error where the site is built with -W.
"""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

__all__ = ["SourceLink", "SourceRole", "resolve", "setup"]

ROOT = Path(__file__).resolve().parents[2]

logger = logging.getLogger(__name__)


class SourceLink(nodes.Element):
    """A link to a page of code, whose address hangs on the page that it stands on."""


class SourceRole(SphinxRole):
    """The role; its text is `folder/file.py:Class.method`, from the checkout's root."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """A literal that links to the line of the definition."""
        path, _, name = self.text.partition(":")
        shown = nodes.literal(self.text, f"{Path(path).name} {name}", classes=["source"])
        file = ROOT / path
        # models/ and guides/ are imported as parts of pyrovp.
        parts = Path(path).with_suffix("").parts
        module = ".".join(parts if parts[0] == "pyrovp" else ("pyrovp", *parts))
        try:
            analyzer = ModuleAnalyzer.for_file(str(file), module)
            analyzer.find_tags()
        except PycodeError as error:
            logger.warning(
                "no such source file: %s (%s)", path, error, location=self.get_location()
            )
            return [shown], []
        if name not in analyzer.tags:
            logger.warning("%s defines no %r", path, name, location=self.get_location())
            return [shown], []
        if not hasattr(self.env, "_viewcode_modules"):
            self.env._viewcode_modules = {}  # type: ignore[attr-defined]
        known = self.env._viewcode_modules  # type: ignore[attr-defined]
        entry = known.get(module) or (analyzer.code, analyzer.tags, {}, module)
        known[module] = entry
        entry[2].setdefault(name, self.env.docname)
        page = f"_modules/{module.replace('.', '/')}"
        return [SourceLink("", shown, page=page, anchor=name)], []


def resolve(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Puts links in the place of `SourceLink`s."""
    for link in list(doctree.findall(SourceLink)):
        address = f"{app.builder.get_relative_uri(page, link['page'])}#{link['anchor']}"
        link.replace_self(nodes.reference("", "", *link.children, refuri=address, internal=True))


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the role."""
    app.add_node(SourceLink)
    app.add_role("source", SourceRole())
    app.connect("doctree-resolved", resolve)
    return {"parallel_read_safe": False}
