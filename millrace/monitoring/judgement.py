"""A window judged against a baseline: every statistic with its bound, and the largest ratio of the two."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from millrace.errors import ConfigurationError
from millrace.monitoring.baseline import USUAL_SHARE, Baseline, BaselineColumn
from millrace.monitoring.constant import Constant, allowed
from millrace.monitoring.statistics.catalogue import STATISTICS, statistics_for

CONSTANT = "differing_rows"


@dataclass(frozen=True)
class Finding:
    """One statistic of one column."""

    column: str
    statistic: str
    """Of the catalogue, or `differing_rows` for a column that was constant."""
    value: float
    bound: float

    @property
    def ratio(self) -> float:
        """Above 1 alarms."""
        return self.value / self.bound


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a window's input looks like against the baseline."""

    rows: int
    usual_rows: int
    findings: tuple[Finding, ...]
    """Empty for a window with too few rows to judge."""

    @property
    def worst(self) -> Finding | None:
        """The finding with the largest ratio; None where the window was not judged."""
        return max(self.findings, key=lambda finding: finding.ratio, default=None)

    @property
    def ratio(self) -> float | None:
        """The largest ratio, which is what the metric InputDrift says."""
        return self.worst.ratio if self.worst else None


def judge(baseline: Baseline, table: pa.Table) -> Judgement:
    """The judgement of a window's rows, which carry the baseline's columns.

    A window with fewer than USUAL_SHARE of the usual rows has no findings: the bounds are not for it.
    Raises ConfigurationError for a missing column."""
    enough = table.num_rows >= USUAL_SHARE * baseline.rows_per_window
    findings = (
        [finding for column in baseline.columns for finding in _findings(baseline, column, table)] if enough else []
    )
    return Judgement(rows=table.num_rows, usual_rows=baseline.rows_per_window, findings=tuple(findings))


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
            bound=_bound(name, column, baseline),
        )
        for name in statistics_for(bins.kind)
        if STATISTICS[name].fixed_bound is not None or name in column.moments
    ]


def _bound(statistic: str, column: BaselineColumn, baseline: Baseline) -> float:
    known = STATISTICS[statistic]
    if known.fixed_bound is not None:
        return known.fixed_bound
    return min(column.moments[statistic].bound(baseline.score_bounds[statistic]), known.highest_bound)


def _constant(baseline: Baseline, name: str, bins: Constant, values: pa.ChunkedArray) -> Finding:
    """The rows that differ; the bound lies half a row above those that the history still allows."""
    constants = sum(isinstance(column.sketch, Constant) for column in baseline.columns)
    still = allowed(history=bins.rows, window=len(values), rate=baseline.rate / (2 * constants))
    return Finding(column=name, statistic=CONSTANT, value=float(bins.differing(values)), bound=still + 0.5)
