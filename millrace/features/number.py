"""The encoder `number`: a number as it is. NaN stands for a missing one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.kinds import FLOAT32_END, NUMBERS
from millrace.features.encoder import OneColumn
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.features.encoder import FeatureKind


@dataclass(frozen=True, kw_only=True)
class Number(OneColumn):
    """One column of the tensor `numbers` (N, F), float32."""

    kind: ClassVar[str] = "number"
    arrow: ClassVar[str] = "float64"
    takes_features: ClassVar[str] = "a column of integers or floats"
    default_for: ClassVar[tuple[FeatureKind, ...]] = NUMBERS

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name="numbers", dtype="float32", shape=(1,), optional=(self.optional,))

    def encode(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        """The numbers of all rows (N, 1)."""
        import numpy as np
        import pyarrow as pa

        # By float64, the way that a number of a JSON request takes: from int64 to float32 at once rounds differently.
        cells = rows[self.name].combine_chunks().cast(pa.float64(), safe=False).cast(pa.float32(), safe=False)
        if self.optional:
            cells = cells.fill_null(pa.scalar(float("nan"), pa.float32()))
        # By DLPack, since pyarrow's `to_numpy` imports pandas where it is installed: that costs each job 0.15 s.
        return np.from_dlpack(cells).view(np.float32)[:, None]

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        import numpy as np
        import pyarrow as pa

        cells = rows[self.name].combine_chunks()
        if not pa.types.is_integer(cells.type) and not pa.types.is_floating(cells.type):
            return np.zeros(len(cells), np.bool_)
        # A null counts as 0, which is taken, if the number is optional; else as infinity, which is not.
        exact_N = np.from_dlpack(cells.cast(pa.float64(), safe=False).fill_null(0 if self.optional else np.inf))
        is_finite_N: npt.NDArray[np.bool_] = np.abs(exact_N) < FLOAT32_END
        return is_finite_N

    def encode_one(self, row: Mapping[str, Any]) -> list[float]:
        cell = row[self.name]
        if cell is None and self.optional:
            return [math.nan]
        if type(cell) not in (int, float) or not -FLOAT32_END < cell < FLOAT32_END:
            raise ValueError("a finite number of float32")
        return [cell]
