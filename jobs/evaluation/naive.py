"""The naive rules that a model must beat: what the label was some hours before, or how often it is positive at all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.errors import SnapshotError
from millrace.evaluation.metrics import log_loss

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.workload.declaration import Prediction, Workload


def naive_accuracy(table: pa.Table, workload: Workload, test: slice) -> float:
    """How often the rule that the workload's gate names was right on the test rows.

    Raises SnapshotError where it can answer none of them."""
    surface, baseline = workload.prediction, workload.gates.baseline
    if baseline.kind == "base_rate":
        return _majority(table[surface.label].to_pylist(), test)
    return _seasonal(table, surface, np.timedelta64(round(baseline.lag_hours * 3600), "s"), test)


def base_rate_log_loss(y_N: npt.NDArray[np.float32], test: slice) -> float:
    """The log loss (nats) on the test rows of always answering the share of positive rows before them."""
    return log_loss(np.full(len(y_N[test]), y_N[: test.start].mean()), y_N[test])


def _majority(labels: list[Any], test: slice) -> float:
    """Of the class that most rows before the test days have."""
    usual, _ = Counter(labels[: test.start]).most_common(1)[0]
    return float(np.mean([label == usual for label in labels[test]]))


def _seasonal(table: pa.Table, surface: Prediction, lag: np.timedelta64, test: slice) -> float:
    """Of the label of the same entity `lag` before, on the rows that have such a row before them."""
    entity = [name for name in surface.key if name != surface.event_time]
    labels = table[surface.label].to_pylist()
    times: npt.NDArray[np.datetime64] = np.array(table[surface.event_time].to_pylist(), dtype="datetime64[us]")
    entities = list(zip(*(table[name].to_pylist() for name in entity), strict=True)) if entity else [()] * len(labels)
    known = dict(zip(zip(entities, times.tolist(), strict=True), labels, strict=True))
    asked = zip(entities[test], (times[test] - lag).tolist(), strict=True)
    pairs = [(known[key], label) for key, label in zip(asked, labels[test], strict=True) if key in known]
    if not pairs:
        raise SnapshotError(f"expected test rows with a row {lag} before them, got none")
    return float(np.mean([before == label for before, label in pairs]))
