"""SVG elements whose text and attributes are escaped."""

from __future__ import annotations

from markupsafe import Markup, escape

Child = str | None


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`; None is left out.

    `class_` loses its underscore, others become hyphens. For example `element("line", x1=0, class_="grid")` is
    `<line x1="0" class="grid"></line>`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, together(*children))


def together(*parts: Child) -> Markup:
    """The parts one after the other."""
    return Markup("").join(escape(part) for part in parts if part is not None)


def _number(value: str | float) -> str:
    """Coordinates to a tenth of a pixel: finer makes the page longer, not better."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
