"""Keeps CloudWatch's data points by metric and minute, and reads them as statistics of aligned periods."""

from __future__ import annotations

import math
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Key = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, name and dimensions. Two metrics are the same one only if all three are equal."""
Series = dict[float, float]
"""The value of each period by its start in seconds since the epoch. A period without data is absent."""

_STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "SampleCount": len,
    "Average": fmean,
    "Minimum": min,
    "Maximum": max,
}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)$")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One reported value."""

    timestamp: float
    """Seconds since the epoch."""
    value: float
    unit: str | None = None


def key_of(namespace: str, name: str, dimensions: Mapping[str, str]) -> Key:
    return namespace, name, frozenset(dimensions.items())


class MetricStore:
    """All points of the cloud's custom and service metrics. Nothing is ever forgotten."""

    def __init__(self) -> None:
        self._minutes: dict[Key, dict[int, list[Point]]] = defaultdict(lambda: defaultdict(list))
        self._lock = threading.Lock()

    def add(self, key: Key, point: Point) -> None:
        with self._lock:
            self._minutes[key][int(point.timestamp // 60)].append(point)

    def add_changed(self, key: Key, point: Point) -> None:
        """Add the point of a gauge, unless the last point of its minute has the same value.

        Alarms are evaluated often, and each time the gauges are read."""
        with self._lock:
            points = self._minutes[key][int(point.timestamp // 60)]
            if not points or points[-1].value != point.value:
                points.append(point)

    def statistic(
        self, key: Key, statistic: str, period_s: int, start: float, end: float, *, unit: str | None = None
    ) -> Series:
        """The statistic of each aligned period that overlaps [start, end) and has data.

        `start` and `end` are seconds since the epoch. Raises ValueError for a statistic that is not covered."""
        # Periods begin at multiples of their length, as CloudWatch aligns them. Of the period in which `start` lies all
        # points count.
        by_period: dict[float, list[Point]] = defaultdict(list)
        for point in self._between(key, start // period_s * period_s, end):
            if unit is None or point.unit == unit:
                by_period[point.timestamp // period_s * period_s].append(point)
        return {at: summary(points, statistic) for at, points in sorted(by_period.items())}

    def _between(self, key: Key, start: float, end: float) -> list[Point]:
        with self._lock:
            minutes = self._minutes.get(key, {})
            wanted = [minute for minute in minutes if start // 60 <= minute <= end // 60]
            points = [point for minute in wanted for point in minutes[minute]]
        return [point for point in points if start <= point.timestamp < end]


def summary(points: list[Point], statistic: str) -> float:
    """The statistic of the points: Sum, Average, Minimum, Maximum, SampleCount or a percentile (`p90`, `p99.9`).

    Percentiles interpolate linearly between values; AWS does not publish its method. Raises ValueError for any other
    statistic."""
    values = sorted(point.value for point in points)
    if statistic in _STATISTICS:
        return float(_STATISTICS[statistic](values))
    if not (found := _PERCENTILE.match(statistic)):
        raise ValueError(f"statistic {statistic!r} is not covered by the local cloud")
    position = float(found[1]) / 100 * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (position - below)


def as_points(datum: Mapping[str, Any], timestamp: float) -> Iterable[Point]:
    """Yields the points of one member of PutMetricData's `MetricData`, which brings `Values` or one `Value`.

    Raises moto's ValidationError for what is not covered."""
    from moto.cloudwatch.exceptions import ValidationError

    if lacking := sorted({"Counts", "StatisticValues"} & {name for name, given in datum.items() if given}):
        raise ValidationError(f"PutMetricData with {' and '.join(lacking)} is not covered by the local cloud")
    for value in datum.get("Values") or [datum.get("Value") or 0]:
        yield Point(timestamp=timestamp, value=float(value), unit=datum.get("Unit") or None)
