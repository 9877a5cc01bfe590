"""Clarify's bias report on a file of rows, by its own analysis configuration: what `analysis.json` has of bias.

https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-configure-parameters.html has the configuration,
…/clarify-processing-job-analysis-results.html the results. Axes: N rows, F features."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from millrace.errors import ConfigurationError
from millrace.evaluation.measures.bias import (
    POST_TRAINING,
    PRE_TRAINING,
    BiasMetric,
    GroupRows,
    UndefinedError,
    value_of,
)
from millrace.messages.envelope import Message

if TYPE_CHECKING:
    import numpy.typing as npt

SPREAD = 0.05
"""Whole numbers are cut at a threshold if at least this share of them differ, else they are categories."""
SYNONYMS = {"DCAcc": "DCA"}
"""What the container of some versions says for a name of the library's."""
Value = str | int | float | bool


class Facet(Message):
    """A column whose groups are compared."""

    name_or_index: str | int
    value_or_threshold: list[Value] | None = None
    """The values of the group, or a number above which it begins; without it each value is a group."""


class Methods(Message):
    """Which metrics are wanted."""

    methods: Literal["all"] | list[str] = "all"


class Analyses(Message):
    """What is computed before and after a training; None if it is not wanted."""

    pre_training_bias: Methods | None = None
    post_training_bias: Methods | None = None


class AnalysisConfig(Message):
    """What Clarify's `analysis_config.json` says of bias. Its other keys are not read."""

    label: str | int
    label_values_or_threshold: list[Value] = Field(min_length=1)
    facet: list[Facet] | Facet
    group_variable: str | int | None = None
    headers: list[str] | None = None
    predicted_label: str | int | None = None
    methods: Analyses

    @property
    def facets(self) -> list[Facet]:
        return self.facet if isinstance(self.facet, list) else [self.facet]


class MetricResult(Message):
    """A metric in `analysis.json`."""

    name: str
    description: str = ""
    value: float | Literal["Infinity", "-Infinity"] | None
    error: str | None = None


class FacetResult(Message):
    """The metrics of one group."""

    value_or_threshold: str
    metrics: list[MetricResult]


class BiasResult(Message):
    """The metrics before or after a training."""

    label: str
    label_value_or_threshold: str = ""
    facets: dict[str, list[FacetResult]]


class Analysis(Message):
    """The bias of an `analysis.json`. What it has beside is not read."""

    version: str = "1.0"
    pre_training_bias_metrics: BiasResult | None = None
    post_training_bias_metrics: BiasResult | None = None

    def figures(self) -> Iterator[tuple[tuple[str, str, str, str], MetricResult]]:
        """Each metric by its stage, facet, group and name."""
        for stage, result in (("pre", self.pre_training_bias_metrics), ("post", self.post_training_bias_metrics)):
            for facet, groups in result.facets.items() if result else ():
                for group in groups:
                    for one in group.metrics:
                        yield (stage, facet, group.value_or_threshold, SYNONYMS.get(one.name, one.name)), one


def analyse(rows: pa.Table, config: AnalysisConfig, *, where: str) -> Analysis:
    """The bias of the rows. Raises ConfigurationError for a column or a metric that there is not, and if no predicted
    label is positive."""
    label = _name(rows, config.label, "label", where)
    label_N, words = _positive(rows[label], config.label_values_or_threshold, where, "label_values_or_threshold")
    predicted = None
    if config.predicted_label is not None:
        predicted = _name(rows, config.predicted_label, "predicted_label", where)

    def result(methods: Methods | None, metrics: Mapping[str, BiasMetric]) -> BiasResult | None:
        if methods is None:
            return None
        chosen = _chosen(methods, metrics, where)
        predicted_N = _predicted(rows, label, predicted, config, where) if metrics is POST_TRAINING else None
        facets: dict[str, list[FacetResult]] = {}
        for facet in config.facets:
            name = _name(rows, facet.name_or_index, "facet", where)
            group_N, features_NF = _group(rows, config, where), _features(rows, {name, label, predicted})
            facets[name] = []
            for facet_N, group in _groups(rows[name], facet, where):
                # All metrics share these rows, which count each side of the facet once.
                compared = GroupRows(
                    facet_N=facet_N, label_N=label_N, predicted_N=predicted_N, group_N=group_N, features_NF=features_NF
                )
                measured = [_result(key, one, compared) for key, one in chosen.items()]
                facets[name].append(FacetResult(value_or_threshold=group, metrics=measured))
        return BiasResult(label=label, label_value_or_threshold=words, facets=facets)

    wanted = config.methods
    results = {
        "pre_training_bias_metrics": result(wanted.pre_training_bias, PRE_TRAINING),
        "post_training_bias_metrics": result(wanted.post_training_bias, POST_TRAINING),
    }
    return Analysis(version="1.0", **{stage: one for stage, one in results.items() if one is not None})


def _predicted(
    rows: pa.Table, label: str, predicted: str | None, config: AnalysisConfig, where: str
) -> npt.NDArray[np.bool_]:
    if predicted is None:
        raise ConfigurationError(
            where=where, field="predicted_label", expected="the column of the predicted labels", came="none"
        )
    values = config.label_values_or_threshold
    if _is_continuous(rows[predicted], values) != _is_continuous(rows[label], values):
        expected = "numbers cut at a threshold, or categories, as the label"
        raise ConfigurationError(where=where, field=predicted, expected=expected, came=str(rows[predicted].type))
    predicted_N, _ = _positive(rows[predicted], values, where, "label_values_or_threshold")
    if not predicted_N.any():
        raise ConfigurationError(where=where, field=predicted, expected=f"a row with one of {values}", came="none")
    return predicted_N


def _chosen(methods: Methods, metrics: Mapping[str, BiasMetric], where: str) -> Mapping[str, BiasMetric]:
    if methods.methods == "all":
        return metrics
    wanted = [SYNONYMS.get(name, name) for name in methods.methods]
    for name in wanted:
        if name not in metrics:
            raise ConfigurationError(where=where, field="methods", expected=f"of {', '.join(metrics)}", came=name)
    return {name: metric for name, metric in metrics.items() if name in wanted}


def _result(name: str, metric: BiasMetric, rows: GroupRows) -> MetricResult:
    try:
        value = value_of(metric, rows)
    except UndefinedError as error:
        return MetricResult(name=name, description=metric.title, value=None, error=str(error))
    words: Any = value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
    return MetricResult(name=name, description=metric.title, value=words)


def _name(rows: pa.Table, name_or_index: str | int, field: str, where: str) -> str:
    names: list[str] = rows.column_names
    if isinstance(name_or_index, int) and 0 <= name_or_index < len(names):
        return names[name_or_index]
    if name_or_index not in names:
        raise ConfigurationError(where=where, field=field, expected=f"one of {', '.join(names)}", came=name_or_index)
    return str(name_or_index)


def _is_continuous(column: pa.ChunkedArray, values: Sequence[Value] | None) -> bool:
    """Whether the column is cut at a threshold, by Clarify's rule: its type, and how many of its values differ."""
    if values and len(values) > 1:
        return False
    if pa.types.is_floating(column.type):
        return True
    if pa.types.is_string(column.type):
        try:
            pc.cast(column.drop_null(), pa.int64())
        except pa.ArrowInvalid:
            return False
    elif not pa.types.is_integer(column.type):
        return False
    present = column.drop_null()
    return len(present) > 0 and pc.count_distinct(present).as_py() / len(present) >= SPREAD


def _positive(
    column: pa.ChunkedArray, values: Sequence[Value], where: str, field: str
) -> tuple[npt.NDArray[np.bool_], str]:
    """Which rows have one of the values, or lie above the threshold; and the same in Clarify's words."""
    if not _is_continuous(column, values):
        cells = column.to_pylist()
        wanted = set(values)
        if not any(cell in wanted for cell in cells):
            cells, wanted = [_text(cell) for cell in cells], {_text(value) for value in values}
        return np.array([cell in wanted for cell in cells], bool), ",".join(map(str, values))
    try:
        threshold = float(values[0])
    except ValueError:
        raise ConfigurationError(where=where, field=field, expected="a number, a threshold", came=values[0]) from None
    numbers_N = np.asarray(column.cast(pa.float64()).to_numpy())
    with np.errstate(invalid="ignore"):
        above_N = numbers_N > threshold
    highest = np.nanmax(numbers_N) if len(numbers_N) else math.nan
    is_whole = not pa.types.is_floating(column.type) and isinstance(values[0], int)
    ends = sorted(int(end) if is_whole else float(end) for end in (threshold, highest))
    return above_N, f"({ends[0]}, {ends[1]}]" if ends[0] < ends[1] else ""


def _text(cell: Any) -> str:
    """A cell as it is compared with a value of another type: 1, 1.0, "1" and true are one."""
    text = str(cell).lower()
    text = {"true": "1", "false": "0"}.get(text, text)
    return text.removesuffix(".0")


def _groups(column: pa.ChunkedArray, facet: Facet, where: str) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    if facet.value_or_threshold:
        yield _positive(column, facet.value_or_threshold, where, "value_or_threshold")
    elif _is_continuous(column, None):
        name = str(facet.name_or_index)
        raise ConfigurationError(where=where, field=name, expected="value_or_threshold, a number", came="none")
    else:
        for value in dict.fromkeys(column.drop_null().to_pylist()):
            yield np.array([cell == value for cell in column.to_pylist()], bool), str(value)


def _group(rows: pa.Table, config: AnalysisConfig, where: str) -> npt.NDArray[Any] | None:
    """The subgroup of each row (N)."""
    if config.group_variable is None:
        return None
    return np.array(rows[_name(rows, config.group_variable, "group_variable", where)].to_pylist(), object)


def _features(rows: pa.Table, left_out: set[str | None]) -> npt.NDArray[np.float64] | None:
    """All other columns, if they are numbers."""
    columns = [rows[name] for name in rows.column_names if name not in left_out]
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    if not columns or not all(any(kind(one.type) for kind in kinds) for one in columns):
        return None
    return np.stack([np.asarray(one.cast(pa.float64()).to_numpy()) for one in columns], axis=1)
