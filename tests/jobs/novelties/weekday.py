"""An encoder: the day of the week of a timestamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.schema import Table
from millrace.features.encoder import OneColumn
from millrace.features.signature import TensorSpec
from millrace.workload.declaration import Feature


@dataclass(frozen=True, kw_only=True)
class Weekday(OneColumn):
    """One column of the tensor `categories`: 1 is Monday."""

    kind: ClassVar[str] = "weekday"
    takes_features: ClassVar[str] = "a column of timestamps"

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        is_time = not feature.history and table.column(feature.name).kind.startswith("timestamp")
        return cls(name=feature.name) if is_time else None

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(8,))

    def encode(self, rows: pa.Table) -> Any:
        return np.array(pc.day_of_week(rows[self.name]).to_pylist(), np.int64)[:, None] + 1

    def takes(self, rows: pa.Table) -> Any:
        return np.array([pa.types.is_timestamp(rows[self.name].type)] * len(rows))

    def encode_one(self, row: Mapping[str, Any]) -> list[int]:
        return [1 + datetime.fromisoformat(row[self.name]).weekday()]

    def summarise(self, rows: pa.Table) -> pa.Table:
        return pa.table({self.name: pc.strftime(rows[self.name], format="%A")})
