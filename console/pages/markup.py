"""Elements of SVG and HTML whose text and attributes are escaped."""

from __future__ import annotations

from markupsafe import Markup, escape

Child = str | None


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`. Children and attributes that are None are left out.

    An underscore at the end of an attribute's name is dropped, others become hyphens. For example, `element("line",
    x1=0, class_="grid")` is `<line x1="0" class="grid"></line>`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, together(*children))


def together(*parts: Child) -> Markup:
    """The parts one after another. A text is escaped, an element stays as it is."""
    return Markup("").join(escape(part) for part in parts if part is not None)


def _number(value: str | float) -> str:
    """An attribute's value as text. Numbers have a tenth of a pixel: finer ones make the page longer, not better."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
