"""Keeps CloudWatch's data points by metric and minute, and reads them as statistics of aligned periods."""

from __future__ import annotations

import math
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Key = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, name and dimensions. Two metrics are the same one only if all three are equal."""
Series = dict[float, float]
"""The value of each period by its start in seconds since the epoch. A period without data is absent."""

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)$")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One reported value, or several values that were reported as a summary (StatisticValues)."""

    timestamp: float
    """Seconds since the epoch."""
    total: float
    count: float
    lowest: float
    highest: float
    unit: str | None = None

    @property
    def is_one_value(self) -> bool:
        """Whether all values behind the point are known: there is one, or all are equal."""
        return self.count == 1 or self.lowest == self.highest


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
            if not points or points[-1].total != point.total:
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
        found = {at: summary(points, statistic) for at, points in sorted(by_period.items())}
        return {at: value for at, value in found.items() if value is not None}

    def _between(self, key: Key, start: float, end: float) -> list[Point]:
        with self._lock:
            minutes = self._minutes.get(key, {})
            wanted = [minute for minute in minutes if start // 60 <= minute <= end // 60]
            points = [point for minute in wanted for point in minutes[minute]]
        return [point for point in points if start <= point.timestamp < end]


def summary(points: list[Point], statistic: str) -> float | None:
    """The statistic of the points: Sum, Average, Minimum, Maximum, SampleCount or a percentile (`p90`, `p99.9`).

    None if the points do not suffice for it: as on AWS, a reported summary of several values has no percentile.
    Percentiles interpolate linearly between values; AWS does not publish its method. Raises ValueError for any other
    statistic."""
    count = sum(point.count for point in points)
    match statistic:
        case "Sum":
            return sum(point.total for point in points)
        case "SampleCount":
            return count
        case "Average":
            return sum(point.total for point in points) / count if count else None
        case "Minimum":
            return min(point.lowest for point in points)
        case "Maximum":
            return max(point.highest for point in points)
    if not (found := _PERCENTILE.match(statistic)):
        raise ValueError(f"statistic {statistic!r} is not covered by the local cloud")
    if not all(point.is_one_value for point in points):
        return None
    values = sorted(value for point in points for value in [point.lowest] * round(point.count))
    quantile = float(found[1]) / 100
    return percentile(values, quantile)


def percentile(values: list[float], quantile: float) -> float | None:
    """The quantile (0 to 1) of the sorted values, linear between two neighbours; None without a value."""
    if not values:
        return None
    position = quantile * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (position - below)


def as_points(datum: Mapping[str, object], timestamp: float) -> Iterable[Point]:
    """Yields the points of one member of PutMetricData's `MetricData`.

    A member brings values with counts (`Values`, `Counts`), a summary (`StatisticValues`) or one `Value`."""
    unit = str(datum["Unit"]) if datum.get("Unit") else None
    values, summary_of = datum.get("Values"), datum.get("StatisticValues")
    if isinstance(values, list) and values:
        counts = datum.get("Counts")
        weights = counts if isinstance(counts, list) and counts else [1] * len(values)
        for value, count in zip(map(float, values), map(float, weights), strict=True):
            yield Point(timestamp=timestamp, total=value * count, count=count, lowest=value, highest=value, unit=unit)
    elif isinstance(summary_of, Mapping):
        yield Point(
            timestamp=timestamp,
            total=float(summary_of["Sum"]),
            count=float(summary_of["SampleCount"]),
            lowest=float(summary_of["Minimum"]),
            highest=float(summary_of["Maximum"]),
            unit=unit,
        )
    else:
        value = float(str(datum.get("Value", 0)))
        yield Point(timestamp=timestamp, total=value, count=1, lowest=value, highest=value, unit=unit)
