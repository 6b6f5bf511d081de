"""Markup in which text cannot become markup.

    tag("td", "a < b", class_="name")   ->   <td class="name">a &lt; b</td>

A `str` is text and is escaped, as a child and as an attribute's value; what `tag` returned is
`Html` and stays as it is. Nothing else makes `Html`, but for files of the package's own.
"""

from html import escape

__all__ = ["Html", "join", "tag"]

_VOID = frozenset({"br", "img", "link", "meta"})


class Html(str):
    """Markup, as against text."""

    __slots__ = ()


def tag(name: str, *children: str | None, **attributes: str | int | bool | None) -> Html:
    """An element.

    Args:
        name: Of the element.
        children: Text or markup; None is left out.
        attributes: `class_` is `class`, `data_value` is `data-value`; None and False leave an
            attribute out, True sets it without a value.

    Example:
        >>> tag("p", "1 < 2 ", tag("b", "&"), class_="x", hidden=True)
        '<p class="x" hidden>1 &lt; 2 <b>&amp;</b></p>'
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.rstrip("_").replace("_", "-")
        words.append(written if value is True else f'{written}="{escape(str(value))}"')
    opened = f"<{' '.join(words)}>"
    return Html(opened if name in _VOID else f"{opened}{join(*children)}</{name}>")


def join(*parts: str | None) -> Html:
    """Markup and text one after the other.

    Example:
        >>> join(tag("b", "a"), " < ", None, "b")
        '<b>a</b> &lt; b'
    """
    return Html("".join(p if isinstance(p, Html) else escape(p) for p in parts if p is not None))
