"""The parts of one row that an explanation names, in the contract's words, and which entries of tensors they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NOWHERE = -1
"""Stands for the part of an entry that comes from no part of the row: padding."""
MISSING = "missing"
MOST_CHARACTERS = 60
"""A shown cell has at most this many characters."""


PartKind = Literal["cell", "hours", "patch", "word"]
"""What a part is; a page draws each kind in its own way."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One cell of a row, or a place in a cell.

    `Part(column="demand", place="-3 h", value="0.41")` is an hour of a history. `Part(column="note", place="late")` is
    a word. `Part(column="scan", place="rows 1-4, columns 9-12")` is a patch of an image."""

    column: str
    place: str = ""
    """The place in the cell; empty for the whole cell."""
    value: str = ""
    """The cell, as a person reads it."""
    kind: PartKind = "cell"
    box: tuple[int, int, int, int] | None = None
    """For a patch: left, top, width and height in pixels; None for other parts."""

    @property
    def name(self) -> str:
        return f"{self.column}, {self.place}" if self.place else self.column


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The parts of a row that one encoder reads, and which entry of its tensor comes from which part."""

    parts: tuple[Part, ...]
    of_entry: npt.NDArray[np.int64]
    """The place in `parts` for each entry of the encoder's tensor, in its shape; NOWHERE for padding."""


def written(cell: object) -> str:
    """The cell as a part shows it: "0.41", "true", "missing"; a long text is cut and ends with "…"."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return MISSING
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell).lower() if isinstance(cell, bool) else str(cell)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
