"""The seasonal-naive forecast: what the label was some hours before, for the same entity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.errors import SnapshotError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.workload import Workload


def naive_accuracy(table: pa.Table, workload: Workload, test: slice) -> float:
    """How often the label of `lag_hours` before was right on the test rows that have such a row before them.

    Raises SnapshotError when none has."""
    surface = workload.prediction
    entity = [name for name in surface.key if name != surface.event_time]
    lag = np.timedelta64(round(workload.gates.baseline.lag_hours * 3600), "s")
    labels = table[surface.label].to_pylist()
    times: npt.NDArray[np.datetime64] = np.array(table[surface.event_time].to_pylist(), dtype="datetime64[us]")
    entities = list(zip(*(table[name].to_pylist() for name in entity), strict=True)) if entity else [()] * len(labels)
    known = dict(zip(zip(entities, times.tolist(), strict=True), labels, strict=True))
    asked = zip(entities[test], (times[test] - lag).tolist(), strict=True)
    pairs = [(known[key], label) for key, label in zip(asked, labels[test], strict=True) if key in known]
    if not pairs:
        raise SnapshotError(f"expected test rows with a row {lag} before them, got none")
    return float(np.mean([before == label for before, label in pairs]))
