"""Judges a window against a baseline: each statistic with its bound, and the largest ratio of the two."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from millrace.errors import ConfigurationError
from millrace.monitoring.baseline import FEWEST_ROWS, USUAL_SHARE, Baseline, BaselineColumn
from millrace.monitoring.sketch import Constant, allowed
from millrace.monitoring.statistics import STATISTICS, statistics_for

CONSTANT = "differing_rows"
"""The statistic of a column that was constant in the history."""


@dataclass(frozen=True)
class Finding:
    """One statistic of one column in a window, with its bound."""

    column: str
    statistic: str
    """A name of the catalogue, or `differing_rows` for a column that was constant."""
    value: float
    bound: float

    @property
    def ratio(self) -> float:
        """The value divided by its bound. Above 1 the alarm is raised."""
        return self.value / self.bound


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How a window's input compares with the baseline."""

    rows: int
    usual_rows: int
    """The median of the rows of a historic window."""
    findings: tuple[Finding, ...]
    """Empty for a window with too few rows to judge."""

    @property
    def worst(self) -> Finding | None:
        """The finding with the largest ratio; None if the window was not judged."""
        return max(self.findings, key=lambda finding: finding.ratio, default=None)

    @property
    def ratio(self) -> float | None:
        """The largest ratio, which the metric InputDrift publishes; None if the window was not judged."""
        return self.worst.ratio if self.worst else None


def judge(baseline: Baseline, table: pa.Table) -> Judgement:
    """The judgement of a window's rows. `table` has the columns of the baseline.

    A window with few of the usual rows is judged by wider bounds; below a slice of them only constant columns are.
    Raises ConfigurationError for a missing column."""
    enough = table.num_rows >= min(FEWEST_ROWS, USUAL_SHARE * baseline.rows_per_window)
    findings = tuple(f for column in baseline.columns for f in _findings(baseline, column, table)) if enough else ()
    return Judgement(rows=table.num_rows, usual_rows=baseline.rows_per_window, findings=findings)


def _findings(baseline: Baseline, column: BaselineColumn, table: pa.Table) -> list[Finding]:
    if column.name not in table.column_names:
        raise ConfigurationError(
            where="the window", field=column.name, expected="a column", came=", ".join(table.column_names)
        )
    values, bins = table.column(column.name), column.sketch
    if isinstance(bins, Constant):
        return [_constant(baseline, column.name, bins, values)]
    window, reference = bins.count(values), bins.reference(1.0)
    # A live champion's baseline is older than the catalogue: it has no bound for a statistic that was added since.
    return [
        Finding(
            column=column.name,
            statistic=name,
            value=float(STATISTICS[name].distance(reference, window)),
            bound=bound,
        )
        for name in statistics_for(bins.kind)
        if STATISTICS[name].fixed_bound is not None or name in column.moments
        if (bound := baseline.bound(column, name, len(values))) is not None
    ]


def _constant(baseline: Baseline, name: str, bins: Constant, values: pa.ChunkedArray) -> Finding:
    """The rows of a constant column that differ. If one such row is still allowed, the bound is 1.5."""
    # Half of the declared rate is shared by the constant columns.
    constants = sum(isinstance(column.sketch, Constant) for column in baseline.columns)
    still = allowed(history=bins.rows, window=len(values), rate=baseline.rate / (2 * constants))
    return Finding(column=name, statistic=CONSTANT, value=float(bins.differing(values)), bound=still + 0.5)
