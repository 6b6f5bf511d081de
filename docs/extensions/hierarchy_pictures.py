"""A system drawn as it is built, at the size of its paper: the directive `hierarchy`.

    ```{hierarchy} dlh
    ```

The picture is made with the site, so it cannot differ from the code.
"""

import torch
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from pyrovp import guides
from pyrovp.draw.hierarchy import draw_hierarchy
from pyrovp.table import SYSTEMS

__all__ = ["HierarchyPicture", "Picture", "draw", "setup"]

FOLDER = "_hierarchies"


class Picture(nodes.General, nodes.Element):
    """The place of a picture."""


class HierarchyPicture(SphinxDirective):
    """The directive; its argument is a name in `pyrovp.models`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The picture's place."""
        return [Picture("", system=self.arguments[0])]


def draw(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Draws the pictures of a page, each over eight frames."""
    for place in list(doctree.findall(Picture)):
        name = place["system"]
        with torch.device("meta"):  # what is drawn are sizes: no weights are needed
            model = SYSTEMS[name]()
            guide = getattr(guides, name)(model)
        folder = app.outdir / FOLDER
        folder.mkdir(exist_ok=True)
        draw_hierarchy(model, guide, path=folder / f"{name}.svg", frames=8)
        address = relative_uri(app.builder.get_target_uri(page), f"{FOLDER}/{name}.svg")
        image = f'<img class="hierarchy" src="{address}" alt="{name}, unrolled over eight frames">'
        place.replace_self(nodes.raw("", image, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_node(Picture)
    app.add_directive("hierarchy", HierarchyPicture)
    app.connect("doctree-resolved", draw)
    return {"parallel_read_safe": True}
