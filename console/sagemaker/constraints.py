"""Model Monitor's constraints and violations: suggested and written as its container does, and captures judged by them.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-constraints.html and …-interpreting-violations.html
have the two files. The distance of two distributions is that of Deequ, which the container is built on:
https://github.com/awslabs/deequ, analyzers/Distance.scala."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from millrace.console.sagemaker.captures import ANSWER, Captured, number_of
from millrace.console.sagemaker.monitor import Feature, Part, Statistics, weighted_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from millrace.console.sagemaker.verdict import Verdict

    Floats = NDArray[np.float64]
    Row = Mapping[str, Any]

MOST_DOMAIN = 20
"""A column of at most so many texts has them as its domain."""
CHANCE = 1.8
"""A robust distance is what is above so many times sqrt((n + m) / (n m)), the bound of Kolmogorov and Smirnov."""
Switch = Literal["Enabled", "Disabled"]


class DistributionRule(Part):
    """When two distributions differ. The defaults are those of the developer guide."""

    perform_comparison: Switch = "Enabled"
    comparison_threshold: float = 0.1
    comparison_method: Literal["Simple", "Robust", "linf_simple", "linf_robust"] = "Robust"
    categorical_comparison_threshold: float | None = None
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] = "LInfinity"


class MonitoringConfig(Part):
    """When a check fails, for all columns or for one. The defaults are those of the developer guide."""

    evaluate_constraints: Switch = "Enabled"
    datatype_check_threshold: float = 0.1
    domain_content_threshold: float = 0.1
    distribution_constraints: DistributionRule = DistributionRule()

    def over(self, other: MonitoringConfig) -> MonitoringConfig:
        """These settings, and the other's where these say nothing."""
        ours, theirs = (one.model_dump(exclude_unset=True) for one in (self, other))
        rules = [one.pop("distribution_constraints", {}) for one in (theirs, ours)]
        return MonitoringConfig(**{**theirs, **ours, "distribution_constraints": {**rules[0], **rules[1]}})


class NumericConstraints(Part):
    is_non_negative: bool = False


class StringConstraints(Part):
    domains: tuple[str, ...] = ()


class Constraint(Part):
    """What is expected of one column."""

    name: str
    inferred_type: Literal["Integral", "Fractional", "String", "Unknown"]
    completeness: float | None = None
    num_constraints: NumericConstraints | None = None
    string_constraints: StringConstraints | None = None
    monitoring_config_overrides: MonitoringConfig | None = None
    monitoringConfigOverrides: MonitoringConfig | None = None
    """The developer guide's name of the same."""

    def rules(self, of_all: MonitoringConfig) -> MonitoringConfig:
        own = self.monitoring_config_overrides or self.monitoringConfigOverrides
        return own.over(of_all) if own else of_all


class Constraints(Part):
    """A `constraints.json`."""

    features: list[Constraint]
    monitoring_config: MonitoringConfig = MonitoringConfig()


class Violation(Part):
    """What a check found in one column."""

    feature_name: str
    constraint_check_type: str
    description: str = ""


class Violations(Part):
    """A `constraint_violations.json`."""

    violations: list[Violation]


@dataclass(frozen=True)
class Judged:
    """What Model Monitor would have found in one execution."""

    violations: Violations
    notes: tuple[str, ...]
    """What the file asks for and no check of Model Monitor says."""


def rows_of(captured: Captured, label: str) -> list[dict[str, Any]]:
    """The captured cells, with the answers in the column `label`; without them if it is empty."""
    if label:
        return [{label if name == ANSWER else name: cell for name, cell in row.items()} for row in captured.cells]
    return [{name: cell for name, cell in row.items() if name != ANSWER} for row in captured.cells]


def judge_by(constraints: Constraints, statistics: Statistics | None, rows: Sequence[Row]) -> Judged:
    """Check the cells of the rows. Without `statistics` distributions are not compared."""
    known = {one.name: one for one in statistics.features} if statistics else {}
    found: list[Violation] = []
    notes: list[str] = []
    for one in constraints.features:
        rules = one.rules(constraints.monitoring_config)
        if rules.evaluate_constraints == "Disabled":
            continue
        if not any(one.name in row for row in rows):
            found.append(_violation(one, "missing_column_check", "The column is in the baseline and in no row."))
            continue
        cells = [cell for row in rows if (cell := row.get(one.name)) not in (None, "")]
        checks = {
            "data_type_check": _type_check(one, rules, cells),
            "completeness_check": _completeness_check(one, cells, len(rows)),
            "categorical_values_check": _domain_check(one, rules, cells),
            "baseline_drift_check": _drift_check(known.get(one.name), rules.distribution_constraints, cells),
        }
        found += [_violation(one, check, text) for check, text in checks.items() if text]
        notes += [f"{one.name}: {note}" for note in _unchecked(one, rules, cells)]
    names = {one.name for one in constraints.features}
    extra = "The column is in the rows and not in the baseline."
    for name in dict.fromkeys(name for row in rows for name in row if name not in names):
        found.append(Violation(feature_name=name, constraint_check_type="extra_column_check", description=extra))
    return Judged(Violations(violations=found), tuple(notes))


def compared(ours: Violations, theirs: Violations | None) -> list[dict[str, Any]]:
    """Each violation by its column and check, with the words of either side."""
    sides = [
        {(one.feature_name, one.constraint_check_type): one.description for one in side.violations} if side else {}
        for side in (ours, theirs)
    ]
    rows = []
    for feature, check in dict.fromkeys((*sides[0], *sides[1])):
        words = {"description": sides[0].get((feature, check))}
        if theirs:
            words["theirs"] = sides[1].get((feature, check))
        rows.append({"feature": feature, "check": check, **words})
    return rows


def _violation(constraint: Constraint, check: str, text: str) -> Violation:
    return Violation(feature_name=constraint.name, constraint_check_type=check, description=text)


def _type_check(constraint: Constraint, rules: MonitoringConfig, cells: Sequence[Any]) -> str:
    if constraint.inferred_type not in ("Integral", "Fractional") or not cells:
        return ""
    wanted = {"Integral"} if constraint.inferred_type == "Integral" else {"Integral", "Fractional"}
    share = sum(_type_of(cell) in wanted for cell in cells) / len(cells)
    if share >= rules.datatype_check_threshold:
        return ""
    return (
        f"Data type match requirement is not met. Expected data type: {constraint.inferred_type}, "
        f"Expected match: {100 * rules.datatype_check_threshold}%. "
        f"Observed: Only {100 * share}% of data is {constraint.inferred_type}."
    )


def _type_of(cell: Any) -> str:
    if isinstance(cell, bool) or (number := number_of(cell)) is None:
        return "String"
    is_whole = isinstance(cell, int) or (isinstance(cell, str) and cell.strip().lstrip("+-").isdecimal())
    return "Integral" if is_whole and math.isfinite(number) else "Fractional"


def _completeness_check(constraint: Constraint, cells: Sequence[Any], rows: int) -> str:
    share = len(cells) / rows
    return _unmet(share) if constraint.completeness is not None and share < constraint.completeness else ""


def _domain_check(constraint: Constraint, rules: MonitoringConfig, cells: Sequence[Any]) -> str:
    if constraint.string_constraints is None or not constraint.string_constraints.domains or not cells:
        return ""
    domain = set(constraint.string_constraints.domains)
    share = sum(_text(cell) in domain for cell in cells) / len(cells)
    return _unmet(share) if share < rules.domain_content_threshold else ""


def _unmet(share: float) -> str:
    return f"Value: {share} does not meet the constraint requirement!"


def _text(cell: Any) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _drift_check(known: Feature | None, rule: DistributionRule, cells: Sequence[Any]) -> str:
    if known is None or rule.perform_comparison == "Disabled":
        return ""
    is_robust, threshold = rule.comparison_method in ("Robust", "linf_robust"), rule.comparison_threshold
    if known.numerical_statistics:
        values = np.array([number for cell in cells if (number := number_of(cell)) is not None])
        found = numeric_distance(*weighted_values(known.numerical_statistics), values, is_robust=is_robust)
    elif known.string_statistics and known.string_statistics.distribution and _is_compared(rule):
        counts = {one.value: one.count for one in known.string_statistics.distribution.categorical.buckets}
        found = category_distance(counts, Counter(map(_text, cells)), is_robust=is_robust)
        if rule.categorical_comparison_threshold is not None:
            threshold = rule.categorical_comparison_threshold
    else:
        return ""
    return f"Baseline drift distance: {found} exceeds threshold: {threshold}" if found > threshold else ""


def _is_compared(rule: DistributionRule) -> bool:
    return rule.categorical_drift_method == "LInfinity"


def numeric_distance(base_V: Floats, weight_V: Floats, values: Floats, *, is_robust: bool) -> float:
    """The greatest difference of the two cumulative distributions; 0 if either has no value.

    `base_V` is sorted, and `weight_V` says for how many rows each of its values stands."""
    if not len(values) or not len(base_V):
        return 0.0
    both = np.concatenate([base_V, values])
    before = np.concatenate([[0.0], np.cumsum(weight_V)])[np.searchsorted(base_V, both, side="right")]
    now = np.searchsorted(np.sort(values), both, side="right")
    apart = np.abs(before / weight_V.sum() - now / len(values)).max()
    return _robust(float(apart), float(weight_V.sum()), len(values)) if is_robust else float(apart)


def category_distance(base: Mapping[str, float], counts: Mapping[str, float], *, is_robust: bool) -> float:
    """The greatest difference of a category's two shares; 0 if either side is empty."""
    before, now = sum(base.values()), sum(counts.values())
    if not before or not now:
        return 0.0
    apart = max(abs(base.get(name, 0) / before - counts.get(name, 0) / now) for name in {*base, *counts})
    return _robust(apart, before, now) if is_robust else apart


def _robust(distance: float, before: float, now: float) -> float:
    return max(0.0, distance - CHANCE * math.sqrt((before + now) / (before * now)))


def _unchecked(constraint: Constraint, rules: MonitoringConfig, cells: Sequence[Any]) -> Iterator[str]:
    """What AWS names no violation for, or does not say how it is compared."""
    if constraint.num_constraints and constraint.num_constraints.is_non_negative:
        below = sum(number < 0 for cell in cells if (number := number_of(cell)) is not None)
        if below:
            yield f"{below:,} cells are below 0 though it is_non_negative, which no check of Model Monitor reports"
    if constraint.inferred_type == "String" and not _is_compared(rules.distribution_constraints):
        yield "its drift is not computed: AWS does not say how ChiSquared is compared with the threshold"


def constraints_of(statistics: dict[str, Any]) -> dict[str, Any]:
    """The `constraints.json` that Model Monitor suggests for these statistics."""
    features = []
    for one in statistics["features"]:
        found = one.get("numerical_statistics") or one.get("string_statistics") or {"common": NOTHING}
        present, missing = found["common"]["num_present"], found["common"]["num_missing"]
        constraint: dict[str, Any] = {
            "name": one["name"],
            "inferred_type": one["inferred_type"],
            "completeness": present / max(present + missing, 1),
        }
        if "min" in found:
            constraint["num_constraints"] = {"is_non_negative": found["min"] >= 0}
        elif 0 < found.get("distinct_count", 0) <= MOST_DOMAIN and "distribution" in found:
            domains = [bucket["value"] for bucket in found["distribution"]["categorical"]["buckets"]]
            constraint["string_constraints"] = {"domains": domains}
        features.append(constraint)
    return {"version": 0.0, "features": features, "monitoring_config": MONITORING_CONFIG}


NOTHING = {"num_present": 0, "num_missing": 0}
MONITORING_CONFIG = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
    },
}
"""What the container writes. Its one threshold for all columns is not what our bounds are."""
CHECKS = {"missing": "completeness_check", "unseen": "categorical_values_check"}


def violations_of(verdict: Verdict) -> dict[str, Any]:
    """The `constraint_violations.json` of the windows that drifted: each column once for each check, at its worst."""
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    for window in verdict.windows:
        for one in window.judgement.findings:
            check = CHECKS.get(one.statistic, "baseline_drift_check")
            text = (
                f"{one.statistic}: {one.value:.6g} exceeds its bound {one.bound:.6g} in the window from "
                f"{window.start:%Y-%m-%dT%H:%M:%SZ} to {window.end:%Y-%m-%dT%H:%M:%SZ}"
            )
            key = (one.column, check)
            if one.ratio > max(1.0, worst.get(key, (0.0, ""))[0]):
                worst[key] = (one.ratio, text)
    found = [
        Violation(feature_name=column, constraint_check_type=check, description=text)
        for (column, check), (_, text) in sorted(worst.items())
    ]
    return Violations(violations=found).model_dump()
