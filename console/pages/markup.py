"""Safe markup: text is escaped unless it was made here."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | None


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`; text children are escaped, None is left out.

    `class_` and `for_` lose their underscore, others become hyphens; an attribute that is None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(text(child) for child in children if child is not None)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def text(child: Child) -> str:
    """The child as markup."""
    return str(child) if isinstance(child, Markup) else escape(str(child))


def together(*parts: Child) -> Markup:
    """The parts one after the other."""
    return Markup("".join(text(part) for part in parts if part is not None))


def _number(value: str | float) -> str:
    """Coordinates to a tenth of a pixel: finer makes the page longer, not better."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
