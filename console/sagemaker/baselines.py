"""What captures are compared with, if not with earlier ones: the rows of a training, or Model Monitor's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from millrace.console.sagemaker.captures import Captured
from millrace.console.sagemaker.lines import contents, document, parsed, read_table
from millrace.console.sagemaker.monitor import Statistics, statistics_of, statistics_of_known
from millrace.console.sagemaker.verdict import FEWEST_ROWS, Reference, of_blocks
from millrace.errors import ConfigurationError
from millrace.monitoring.baseline import Baseline
from millrace.monitoring.calibration import PROMISED_WINDOWS
from millrace.monitoring.constant import Constant, constant
from millrace.monitoring.sketch import Sketch, kind_of, sketch
from millrace.monitoring.statistics.catalogue import ValueKind


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a model was trained on."""

    path: str
    rows: pa.Table
    label: str
    is_in_time: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of a request, in their order: all but the label."""
        return tuple(name for name in self.rows.column_names if name != self.label)

    @property
    def kinds(self) -> Mapping[str, ValueKind]:
        return {field.name: kind_of(field.name, field.type) for field in self.rows.schema}

    def reference(self, captured: Captured) -> Reference:
        """What the captures are compared with: in order of time the windows of these rows, else their distributions.

        Raises ConfigurationError if the captures have none of the columns, and for a handful of rows."""
        if self.rows.num_rows < FEWEST_ROWS:
            raise ConfigurationError(
                where=self.path, field="rows", expected=f"{FEWEST_ROWS} at least", came=self.rows.num_rows
            )
        shared = [name for name in self.names if name in captured.table.column_names]
        if not shared:
            raise ConfigurationError(
                where=self.path, field="columns", expected=", ".join(self.names), came=captured.table.column_names
            )
        rows = self.rows.select(shared)
        if not self.is_in_time:
            columns = {name: rows.column(name) for name in shared}
            return Reference(known={name: constant(one) or sketch(name, one) for name, one in columns.items()})
        size = max(min(rows.num_rows // PROMISED_WINDOWS, len(captured.times)), FEWEST_ROWS)
        return Reference(baseline=of_blocks(rows, size))


@dataclass(frozen=True)
class MonitorBaseline:
    """Model Monitor's `statistics.json`."""

    path: str
    known: Mapping[str, Sketch | Constant]
    names: tuple[str, ...]
    """The columns of a request, in their order."""

    @property
    def kinds(self) -> Mapping[str, ValueKind]:
        return {name: _kind(one) for name, one in self.known.items()}

    def reference(self, captured: Captured) -> Reference:
        """The distributions of the captured columns. Raises ConfigurationError if the captures have none of them."""
        shared = {name: one for name, one in self.known.items() if name in captured.table.column_names}
        if not shared:
            raise ConfigurationError(
                where=self.path, field="features", expected=", ".join(self.names), came=captured.table.column_names
            )
        return Reference(known=shared)


def _kind(known: Sketch | Constant) -> ValueKind:
    if isinstance(known, Constant):
        return "numeric" if isinstance(known.value, int | float) else "categorical"
    return known.kind


def open_baseline(path: str, *, label: str = "", time: str = "") -> TrainingRows | MonitorBaseline:
    """The baseline in the file: `statistics.json`, or rows as `read_rows` takes them."""
    if PurePosixPath(path).suffix != ".json":
        return read_rows(path, label=label, time=time)
    statistics = document(path, Statistics)
    names = tuple(one.name for one in statistics.features if one.name != label)
    return MonitorBaseline(path=path, known=statistics.known(path), names=names)


def read_rows(path: str, *, label: str = "", time: str = "") -> TrainingRows:
    """The rows of a CSV, JSON lines or Parquet file, sorted by the column `time` if it is named.

    Numbers are float64, all else is text; times are left out. Raises ConfigurationError if the file is none of these or
    lacks a column that is named."""
    rows = read_table(path)
    for option, name in (("--label", label), ("--time", time)):
        if name and name not in rows.column_names:
            raise ConfigurationError(where=path, field=option, expected=", ".join(rows.column_names), came=name)
    rows = rows.sort_by(time) if time else rows
    kept = [field.name for field in rows.schema if field.name != time and not pa.types.is_temporal(field.type)]
    plain = pa.table({name: _plain(rows[name]) for name in kept})
    return TrainingRows(path=path, rows=plain, label=label, is_in_time=bool(time))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return column.cast(pa.float64() if is_number else pa.string())


def statistics_in(path: str) -> dict[str, Any]:
    """The `statistics.json` of rows or of a version's `baseline.json`; or what the file is, if it is one."""
    if PurePosixPath(path).suffix != ".json":
        return statistics_of(read_rows(path).rows)
    where, content = next(contents([path], ending=".json"))
    if b'"features"' in content:
        return parsed(where, content, Statistics).model_dump(exclude_unset=True)
    baseline = Baseline.from_json(content)
    return statistics_of_known({one.name: one.sketch for one in baseline.columns}, baseline.rows)
