"""The encoder `boolean`: true or false, as a category of two values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.features.encoder import OneColumn
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.features.encoder import FeatureKind


@dataclass(frozen=True, kw_only=True)
class Boolean(OneColumn):
    """One column of the tensor `categories` (N, C), int64: 0 is missing, 1 false, 2 true."""

    kind: ClassVar[str] = "boolean"
    arrow: ClassVar[str] = "bool"
    takes_features: ClassVar[str] = "a column of booleans"
    default_for: ClassVar[tuple[FeatureKind, ...]] = ("boolean",)

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(3,))

    def encode(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        import numpy as np
        import pyarrow as pa

        cells = rows[self.name].combine_chunks().cast(pa.int64())
        # null, false, true: -1, 0, 1, then 0, 1, 2.
        return np.from_dlpack(cells.fill_null(-1)).view(np.int64)[:, None] + 1

    def encode_one(self, row: Mapping[str, Any]) -> list[int]:
        cell = row[self.name]
        if cell is None and self.optional:
            return [0]
        if not isinstance(cell, bool):
            raise ValueError("true or false")
        return [1 + cell]
