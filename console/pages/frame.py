"""The frame of a small picture: its size and margins, its scales, and what stands along them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from millrace.console.pages.markup import Child, element, together
from millrace.console.pages.scale import Scale


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Size of a picture and margins around its drawing area, in the SVG's units."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    @property
    def end(self) -> float:
        """The right edge of the drawing area."""
        return self.width - self.right

    @property
    def foot(self) -> float:
        """The lower edge of the drawing area."""
        return self.height - self.bottom

    def across(self, low: float, high: float) -> Scale:
        return Scale(low=low, high=high, start=self.left, stop=self.end)

    def upward(self, low: float, high: float) -> Scale:
        """The y axis of SVG points down, so the low end is at the larger coordinate."""
        return Scale(low=low, high=high, start=self.foot, stop=self.top)

    def level(self, y: float, words: str, *, gap: float = 8) -> Markup:
        """A line across the drawing area, and what it stands for to the left of it."""
        return together(
            element("line", x1=self.left, x2=self.end, y1=y, y2=y, class_="grid"),
            element("text", words, x=self.left - gap, y=y + 4, class_="axis end"),
        )

    def below(self, x: float, words: str, *, gap: float = 8) -> Markup:
        """What stands below the drawing area, around this place."""
        return element("text", words, x=x, y=self.height - gap, class_="axis middle")

    def picture(self, *marks: Child, label: str, kind: str | None = None) -> Markup:
        """The marks as SVG. `label` is for who cannot see it."""
        box = f"0 0 {self.width:.0f} {self.height:.0f}"
        return element("svg", *marks, viewBox=box, role="img", aria_label=label, class_=kind)


def places(points: Iterable[tuple[float, float]]) -> str:
    """The points of a line or an area, as SVG has them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
