"""A task: how many, by a Poisson rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from millrace.contract.schema import Column
from millrace.tasks.answer import empty_answer
from millrace.tasks.task import AnswerField, Objective
from millrace.workload.declaration import Prediction


@dataclass(frozen=True, kw_only=True)
class Count:
    """`output_NW` is (N, 1): the rate."""

    kind: ClassVar[str] = "count"
    answer: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField(name="value", kind="integer"),
        AnswerField(name="rate", kind="number"),
        AnswerField(name="likeliest", kind="text", optional=True),
    )
    error_name: ClassVar[str] = "mean absolute error"
    error_is_share: ClassVar[bool] = False
    part_names: ClassVar[tuple[str, ...]] = ()
    class_names: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[dict[int, str]] = {}
    error_unit: ClassVar[str] = ""

    @classmethod
    def declare(cls, prediction: Prediction, label: Column) -> Self:
        return cls()

    @property
    def objective(self) -> Objective:
        return Objective(loss="poisson_nll_loss", activation="exp", width=1, target="float32")

    def targets(self, labels: pa.ChunkedArray) -> Any:
        return np.array(labels.to_pylist(), np.float32)

    def answers(self, output_NW: Any) -> Mapping[str, Any]:
        rate_N = output_NW[:, 0].astype(np.float64)
        words = np.array(["many" if rate >= 5 else None for rate in rate_N], object)
        return {"value": np.floor(rate_N).astype(np.int32), "rate": rate_N, "likeliest": words}

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("rate",)

    def explained_output(self, output_NW: Any) -> Any:
        return np.zeros(len(output_NW), np.int64)

    def errors(self, output_NW: Any, target_N: Any) -> Any:
        return np.abs(np.floor(output_NW[:, 0].astype(np.float64)) - target_N)

    def error(self, value: Any, label: Any) -> float:
        return float(abs(value - label))

    def metrics(self, output_NW: Any, target_N: Any) -> Mapping[str, float | None]:
        rate_N = output_NW[:, 0].astype(np.float64)
        return {
            "error": float(self.errors(output_NW, target_N).mean()),
            "loss": float((rate_N - target_N * np.log(np.maximum(rate_N, 1e-3))).mean()),
        }

    def parts(self, output_NW: Any, target_N: Any) -> Mapping[str, Mapping[str, float | None]]:
        return {}

    def constant(self, value: Any) -> Mapping[str, Any]:
        return empty_answer(self.answer) | {"value": value}
