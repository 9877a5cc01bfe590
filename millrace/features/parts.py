"""The parts of one row that an explanation names, each in the contract's words, and which tensor entries say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NOWHERE = -1
"""The part of an entry that says nothing of the row: padding."""
MISSING = "missing"
MOST_CHARACTERS = 60
"""Of a cell that is shown."""


PartKind = Literal["cell", "hours", "patch", "word"]
"""How a page draws it."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One column of the contract, or a place in its cell.

    `Part(column="demand", place="-3 h", value="0.41")` is an hour of a history, `Part(column="note", place="late")` a
    word, `Part(column="scan", place="rows 1-4, columns 9-12")` a patch of an image."""

    column: str
    place: str = ""
    """Empty where the whole cell is meant."""
    value: str = ""
    """The cell, as a person reads it."""
    kind: PartKind = "cell"
    box: tuple[int, int, int, int] | None = None
    """Of a patch: left, top, width and height in pixels."""

    @property
    def name(self) -> str:
        return f"{self.column}, {self.place}" if self.place else self.column


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What one encoder's part of a tensor says of a row."""

    parts: tuple[Part, ...]
    of_entry: npt.NDArray[np.int64]
    """Of the encoder's own shape: the place of each entry's part in `parts`, or NOWHERE."""


def written(cell: object) -> str:
    """The cell as a part shows it."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return MISSING
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell).lower() if isinstance(cell, bool) else str(cell)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
