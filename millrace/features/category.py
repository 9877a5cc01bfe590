"""The encoder `category`: text with few different values, as the place of the value in a list.

A value is called a word here, also if it has spaces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.contract.rules.allowed import Allowed
from millrace.features.encoder import OneColumn, is_valid
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.features.encoder import FeatureKind
    from millrace.workload.declaration import Feature

MOST_WORDS = 4096
"""A learnt list keeps this many of the most frequent words. Every other word counts as missing."""


@dataclass(frozen=True, kw_only=True)
class Category(OneColumn):
    """One column of the tensor `categories` (N, C), int64: 0 is missing or unknown, 1 is the first word, and so on."""

    kind: ClassVar[str] = "category"
    arrow: ClassVar[str] = "string"
    takes_features: ClassVar[str] = "a column of text"
    default_for: ClassVar[tuple[FeatureKind, ...]] = ("string",)
    words: tuple[str, ...] | None = None
    """The words in their order. None if they are not learnt yet, as the contract lists no validValues."""
    learnt: bool = False
    """Whether the words come from the training rows."""
    strict: bool = False
    """Whether a word that is not in the contract's list is refused. Otherwise an unknown word counts as missing."""

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder for a column of text; None for any other column.

        Its words are the contract's validValues, else the words of the training rows."""
        if table.column(feature.name).kind != "string":
            return None
        column = table.column(feature.name)
        words = tuple(value for value in column.allowed if isinstance(value, str)) or None
        rule = column.find(Allowed)
        strict = rule is not None and rule.strict
        return cls(name=feature.name, optional=not column.required, words=words, learnt=words is None, strict=strict)

    def fit(self, rows: pa.Table) -> Self:
        """The encoder with the most frequent words of the rows, in the order of the alphabet.

        If the contract lists the words, nothing is learnt."""
        import pyarrow.compute as pc

        if not self.learnt:
            return self
        tally = pc.value_counts(rows[self.name]).to_pylist()
        # Among equally frequent words the first of the alphabet: the list must not depend on the order of rows.
        tally.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
        kept = [entry["values"] for entry in tally if entry["values"] is not None][:MOST_WORDS]
        return replace(self, words=tuple(sorted(kept)))

    @property
    def spec(self) -> TensorSpec:
        cardinality = None if self.words is None else len(self.words) + 1
        return TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(cardinality,))

    def encode(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        cells = rows[self.name].combine_chunks()
        # `index_in` gives null for a word that is not in the list, and for a missing one: -1, then 0.
        place = pc.index_in(cells, value_set=pa.array(self.words or (), pa.string()), skip_nulls=True)
        return np.from_dlpack(place.fill_null(-1).cast(pa.int64())).view(np.int64)[:, None] + 1

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        taken_N = super().takes(rows)
        if self.strict and taken_N.any():
            taken_N &= (self.encode(rows)[:, 0] > 0) | ~is_valid(rows[self.name].combine_chunks())
        return taken_N

    def encode_one(self, row: Mapping[str, Any]) -> list[int]:
        cell = row[self.name]
        if cell is None and self.optional:
            return [0]
        if isinstance(cell, str) and (cell in self._places or not self.strict):
            return [self._places.get(cell, 0)]
        raise ValueError(f"one of {json.dumps(self.words)[:200]}" if self.strict else "text")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words or (), start=1)}
