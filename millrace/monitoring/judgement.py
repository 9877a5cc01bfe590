"""Judges a window against a baseline: each statistic with its bound, and the largest ratio of the two."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from millrace.errors import ConfigurationError
from millrace.messages.monitor import DriftFinding, InputReport
from millrace.monitoring.baseline import FEWEST_ROWS, USUAL_SHARE, Baseline, BaselineColumn
from millrace.monitoring.sketch import Constant, allowed
from millrace.monitoring.statistics import STATISTICS, statistics_for

CONSTANT = "differing_rows"
"""The statistic of a column that was constant in the history."""


def judge(baseline: Baseline, table: pa.Table, *others: DriftFinding) -> InputReport:
    """The judgement of a window's rows, `others` of its findings among them. `table` has the columns of the baseline.

    A window with few of the usual rows is judged by wider bounds; below a slice of them only constant columns are.
    Raises ConfigurationError for a missing column."""
    usual, found = baseline.rows_per_window, [*others]
    if table.num_rows >= min(FEWEST_ROWS, USUAL_SHARE * usual):
        found += [one for column in baseline.columns for one in _findings(baseline, column, table)]
    findings = tuple(sorted(found, key=lambda finding: -finding.ratio))
    ratio = findings[0].ratio if findings else None
    return InputReport(rows=table.num_rows, ratio=ratio, findings=findings)


def finding(column: str, statistic: str, value: float, bound: float) -> DriftFinding:
    """One statistic of one column in a window, with its bound.

    The statistic is a name of the catalogue, or `differing_rows` for a column that was constant."""
    return DriftFinding(column=column, statistic=statistic, value=value, bound=bound, ratio=value / bound)


def _findings(baseline: Baseline, column: BaselineColumn, table: pa.Table) -> Iterator[DriftFinding]:
    if column.name not in table.column_names:
        raise ConfigurationError(
            where="the window", field=column.name, expected="a column", came=", ".join(table.column_names)
        )
    values, bins = table.column(column.name), column.sketch
    if isinstance(bins, Constant):
        # Half of the declared rate is shared by the constant columns. If one row that differs is still allowed, the
        # bound is 1.5.
        constants = sum(isinstance(each.sketch, Constant) for each in baseline.columns)
        still = allowed(history=bins.rows, window=len(values), rate=baseline.rate / (2 * constants))
        yield finding(column.name, CONSTANT, float(bins.differing(values)), still + 0.5)
        return
    window, reference = bins.count(values), bins.reference(1.0)
    # A live champion's baseline is older than the catalogue: it has no bound for a statistic that was added since.
    for name in statistics_for(bins.kind):
        if STATISTICS[name].fixed_bound is not None or name in column.moments:
            bound = baseline.bound(column, name, len(values))
            if bound is not None:
                yield finding(column.name, name, float(STATISTICS[name].distance(reference, window)), bound)
