"""The base class of the encoders of free text: one column of text becomes ids side by side.

Axes: N rows, L ids of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.features.encoder import OneColumn
from millrace.features.parts import NOWHERE, Meaning, Part
from millrace.features.signature import check_own

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.workload.declaration import Feature

SUMMARIES = ("length", "unknown")
"""The watched columns: the number of words or pieces, and the share of them that no training row has."""
ROWS_AT_ONCE = 8192
MOST_CHARACTERS = 4096
"""Only this many characters of a text are read. So there is a limit to what a request can wait for."""
WORD = re.compile(r"\w+|[^\w\s]")
"""A word, or one mark such as a comma."""


def words_of(text: str) -> list[str]:
    """The words and marks of a text in their order, in lower case: "Isn't it?" is isn, ', t, it, ?.

    NFKC makes one letter of a letter that can be written in several ways."""
    return WORD.findall(unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).lower())


@dataclass(frozen=True, kw_only=True)
class FreeText(OneColumn):
    """The ids of each text (L), 0 beyond its end. Subclasses say how a text becomes ids.

    The one cardinality of the tensor is the number of different ids, 0 included."""

    arrow: ClassVar[str] = "string"
    takes_features: ClassVar[str] = "a column of text without validValues"
    blank: ClassVar[int] = 0
    """The id that an explanation puts in place of a word that it takes away.

    It is padding, or an id that says nothing at its place."""
    length: int | None = None
    """L, the number of ids of each text; None if it is not learnt yet."""

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder for a column of text without validValues; None for any other column.

        Raises WorkloadError if the column has the name of a tensor that several features share."""
        if table.column(feature.name).kind != "string" or table.column(feature.name).allowed:
            return None
        check_own(feature.name, "a text")
        return cls(name=feature.name, optional=not table.column(feature.name).required)

    def texts(self, rows: pa.Table) -> Iterator[str]:
        """The texts of the rows that are neither missing nor empty.

        They are read a batch at a time, as the rows may lie in a file that is larger than the memory."""
        for batch in rows.select([self.name]).to_batches(ROWS_AT_ONCE):
            yield from filter(None, batch[0].to_pylist())

    def encode(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        import numpy as np

        # A missing or empty text keeps its zeros.
        ids_NL = np.zeros((rows.num_rows, self.length or 0), np.int64)
        for row, text in enumerate(rows[self.name].to_pylist()):
            if text:
                ids = self.ids(text)
                ids_NL[row, : len(ids)] = ids
        return ids_NL

    def encode_one(self, row: Mapping[str, Any]) -> list[int]:
        cell = row[self.name]
        if not isinstance(cell, str) and not (cell is None and self.optional):
            raise ValueError("text")
        ids = self.ids(cell) if cell else []
        return ids + [0] * ((self.length or 0) - len(ids))

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """A part for each word, in the order of the text; an entry of padding has no part."""
        import numpy as np

        of_entry = np.full(self.length or 0, NOWHERE, np.int64)
        words, origins = self.origins(row[self.name] or "")
        of_entry[: len(origins)] = origins
        return Meaning(
            parts=tuple(Part(column=self.name, place=word, kind="word") for word in words), of_entry=of_entry
        )

    @property
    def watched(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{summary}" for summary in SUMMARIES)

    def summarise(self, rows: pa.Table) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        # In slices, to bound the memory of the ids. Without rows there is one empty slice, so that columns have a type.
        starts = range(0, max(rows.num_rows, 1), ROWS_AT_ONCE)
        parts = [self.measure(self.encode(rows.slice(at, ROWS_AT_ONCE))) for at in starts]
        return pa.table({name: np.concatenate([part[name] for part in parts]) for name in self.watched})

    def ids(self, text: str) -> list[int]:
        """The ids of one text: at most L, none of them 0."""
        raise NotImplementedError

    def origins(self, text: str) -> tuple[list[str], list[int]]:
        """The words of a text, and for each of its `ids` the place of the word that it comes from."""
        raise NotImplementedError

    def measure(self, ids_NL: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """The watched columns of texts, each (N), from their ids."""
        raise NotImplementedError
