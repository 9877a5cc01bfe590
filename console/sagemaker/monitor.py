"""Model Monitor's statistics: read as what captures are compared with, written from rows and from baselines of ours.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-statistics.html has the file. Axes: P points, B bins,
V values that the file has kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict

from millrace.errors import ConfigurationError
from millrace.messages.envelope import Message
from millrace.monitoring.sketch import CELLS, CategoricalSketch, Constant, NumericSketch, Sketch, sketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 4_000
"""A distribution of a statistics file is read as so many of its quantiles."""
BUCKETS, KLL_K, KLL_C = 10, 2048, 0.64
"""What Model Monitor's own container writes: ten buckets of equal width, and the parameters of its KLL sketch."""


class Part(Message):
    """A part of a file. What is not named here is kept as it came."""

    model_config = ConfigDict(extra="allow")


class Common(Part):
    num_present: float
    num_missing: float


class Bucket(Part):
    lower_bound: float
    upper_bound: float
    count: float


class KllSketch(Part):
    data: list[list[float]]
    """The values that are kept, by level: a value of level h stands for 2**h rows."""


class Kll(Part):
    buckets: tuple[Bucket, ...] = ()
    sketch: KllSketch | None = None


class NumericDistribution(Part):
    kll: Kll


class NumericStatistics(Part):
    common: Common
    mean: float
    std_dev: float
    min: float
    max: float
    distribution: NumericDistribution


class Category(Part):
    value: str
    count: float


class Categories(Part):
    buckets: list[Category]


class StringDistribution(Part):
    categorical: Categories


class StringStatistics(Part):
    common: Common
    distribution: StringDistribution | None = None


class Feature(Part):
    name: str
    inferred_type: Literal["Integral", "Fractional", "String", "Unknown"]
    numerical_statistics: NumericStatistics | None = None
    string_statistics: StringStatistics | None = None


class Dataset(Part):
    item_count: int


class Statistics(Part):
    """A `statistics.json`."""

    dataset: Dataset
    features: list[Feature]

    def known(self, where: str) -> dict[str, Sketch | Constant]:
        """The distribution of each column that has one. Raises ConfigurationError if none has."""
        found = {one.name: known for one in self.features if (known := _known(one, self.dataset.item_count))}
        if not found:
            raise ConfigurationError(
                where=where, field="features", expected="a feature with a distribution", came=len(self.features)
            )
        return found


def _known(feature: Feature, rows: int) -> Sketch | Constant | None:
    if numbers := feature.numerical_statistics:
        missing = numbers.common.num_missing / max(numbers.common.num_present + numbers.common.num_missing, 1)
        if numbers.min == numbers.max:
            return Constant(value=numbers.min, rows=rows) if not missing else None
        points_P = _points(numbers)
        made = sketch(feature.name, pa.chunked_array([pa.array(points_P)]))
        assert isinstance(made, NumericSketch)
        return replace(made, sd=numbers.std_dev or made.sd, missing=missing)
    texts = feature.string_statistics
    if texts is None or texts.distribution is None:
        return None
    buckets = sorted(texts.distribution.categorical.buckets, key=lambda one: -one.count)
    present, all_rows = texts.common.num_present, texts.common.num_present + texts.common.num_missing
    if len(buckets) == 1 and buckets[0].count == all_rows:
        return Constant(value=buckets[0].value, rows=rows)
    shares = [one.count / max(present, 1) for one in buckets]
    return CategoricalSketch(
        values=tuple(one.value for one in buckets),
        shares=(*shares, max(0.0, 1 - sum(shares))),
        missing=texts.common.num_missing / max(all_rows, 1),
    )


def weighted_values(numbers: NumericStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values that the file has kept (V), in their order, and for how many rows each stands (V)."""
    kll = numbers.distribution.kll
    levels = kll.sketch.data if kll.sketch else []
    values = np.array([value for level in levels for value in level], float)
    weights = np.array([2.0**height for height, level in enumerate(levels) for _ in level])
    if not len(values):
        # Buckets alone: the rows of each are taken as spread over it.
        steps = np.linspace(0, 1, POINTS // BUCKETS)
        values = np.concatenate([low.lower_bound + steps * (low.upper_bound - low.lower_bound) for low in kll.buckets])
        weights = np.repeat([bucket.count / len(steps) for bucket in kll.buckets], len(steps))
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def _points(numbers: NumericStatistics) -> NDArray[np.float64]:
    """Quantiles of the distribution (P), the least and the greatest value among them."""
    values, weights = weighted_values(numbers)
    reached = np.cumsum(weights) / weights.sum()
    wanted = (np.arange(POINTS) + 0.5) / POINTS
    places = np.searchsorted(reached, wanted, side="left").clip(max=len(values) - 1)
    return np.concatenate([[numbers.min], values[places], [numbers.max]])


def statistics_of(rows: pa.Table) -> dict[str, Any]:
    """The `statistics.json` of rows whose columns are float64 or texts."""
    features = [_feature(name, rows.column(name)) for name in rows.column_names]
    return {"version": 0.0, "dataset": {"item_count": rows.num_rows}, "features": features}


def statistics_of_known(known: Mapping[str, Sketch | Constant], rows: int) -> dict[str, Any]:
    """The `statistics.json` of a baseline of ours. Its figures are those of the bins: as exact as they are narrow."""
    return statistics_of(pa.table({name: _column(one, rows) for name, one in known.items()}))


def _column(known: Sketch | Constant, rows: int) -> pa.ChunkedArray:
    """As many rows as the baseline had, in the middle of their bins."""
    if isinstance(known, Constant):
        is_number = isinstance(known.value, int | float)
        kind = pa.float64() if is_number else pa.string()
        return pa.chunked_array([pa.array([float(known.value) if is_number else known.value] * rows, kind)])  # type: ignore[arg-type]
    counts = known.reference(rows)
    ends_B = np.round(np.cumsum(counts.bins)).astype(int)
    whole_B = np.diff(ends_B, prepend=0)
    values: list[Any]
    if isinstance(known, NumericSketch):
        edges = known.low + np.append(known.first_cells, CELLS) * ((known.high - known.low) / CELLS)
        edges = np.clip(edges, *known.inner)
        values = np.repeat((edges[:-1] + edges[1:]) / 2, whole_B).tolist()
    else:
        values = [name for name, count in zip((*known.values, "other"), whole_B, strict=True) for _ in range(count)]
    values += [None] * (rows - len(values))
    return pa.chunked_array([pa.array(values, pa.float64() if isinstance(known, NumericSketch) else pa.string())])


def _feature(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    present = column.drop_null()
    common = {"num_present": len(present), "num_missing": len(column) - len(present)}
    if pa.types.is_string(column.type):
        tally = sorted(present.value_counts().to_pylist(), key=lambda one: -one["counts"])
        buckets = [{"value": one["values"], "count": float(one["counts"])} for one in tally]
        texts = {
            "common": common,
            "distinct_count": float(len(tally)),
            "distribution": {"categorical": {"buckets": buckets}},
        }
        return {"name": name, "inferred_type": "String", "string_statistics": texts}
    numbers = np.sort(np.asarray(present.to_numpy()))
    if not len(numbers):
        return {"name": name, "inferred_type": "Unknown", "string_statistics": {"common": common}}
    counts, edges = np.histogram(numbers, BUCKETS)
    statistics = {
        "common": common,
        "mean": float(numbers.mean()),
        "sum": float(numbers.sum()),
        "std_dev": float(numbers.std()),
        "min": float(numbers[0]),
        "max": float(numbers[-1]),
        "distribution": {
            "kll": {
                "buckets": [
                    {"lower_bound": float(edges[n]), "upper_bound": float(edges[n + 1]), "count": float(counts[n])}
                    for n in range(BUCKETS)
                ],
                "sketch": {"parameters": {"c": KLL_C, "k": float(KLL_K)}, "data": _levels(numbers)},
            }
        },
    }
    kind = "Fractional" if (numbers % 1).any() else "Integral"
    return {"name": name, "inferred_type": kind, "numerical_statistics": statistics}


def _levels(sorted_N: NDArray[np.float64]) -> list[list[float]]:
    """The values by level, at most KLL_K in the highest one; their weights sum up to the rows."""
    height = max(0, int(np.ceil(np.log2(len(sorted_N) / KLL_K))))
    step = 2**height
    whole = len(sorted_N) // step * step
    levels: list[list[float]] = [[] for _ in range(height)]
    levels.append(sorted_N[step // 2 : whole : step].tolist())
    rest = sorted_N[whole:]
    for level in range(height):
        if len(rest) >> level & 1:
            levels[level].append(float(rest[-1]))
    return levels
