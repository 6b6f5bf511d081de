"""Sphinx's settings: how the pages in this folder become a site.

python -m sphinx -W -b html docs docs/_build
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

from pyrovp import __version__  # noqa: E402

project = "pyrovp"
author = copyright = "pyrovp authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "hierarchy_pictures",
    "plain_docstrings",
    "public_names",
    "source_links",
]
exclude_patterns = ["_build", "extensions"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"pyrovp {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "tango"
pygments_dark_style = "monokai"

add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# What stands in single backticks is a link where it names something, and code anywhere.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Reference", "Law", ("Shapes", "params_style")]

nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", ".*"),  # prose in backticks: see default_role
    # Other projects' names; no inventory is fetched, so that the site builds without a network.
    ("py:.*", r"(torch|pyro|numpy|np|collections|contextlib|matplotlib|os|pathlib|dist|nn)\..*"),
    ("py:class", r"pyrovp\..*"),  # types in signatures that are not public
]
