"""Each gate passes a good report of every kind of error and refuses the bad one planted for it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.evaluation.gates.catalogue import ALTERNATIVES, Gates, judge_all, passed
from millrace.evaluation.naive.base_rate import BaseRate
from millrace.evaluation.naive.mean import Mean
from millrace.evaluation.report import Evaluation

DECLARED = Gates.model_validate(
    {
        "baseline": {"kind": "seasonal_naive", "lag_hours": 24, "margin": 0.01},
        "calibration": {"max_ece": 0.15},
        "latency": {"max_p99_ms": 50},
        "size": {"max_mb": 10},
        "non_inferiority": {"recent_days": 28, "margin": 0.02, "confidence": 0.95},
    }
)
"""Every gate of the catalogue, with bounds that GOOD keeps."""
NUMBERS = DECLARED.model_copy(update={"calibration": None})
GATES: dict[str, Gates] = {"two classes": DECLARED, "classes": DECLARED, "number": NUMBERS}
"""By what is predicted."""

GOOD: dict[str, Any] = {
    "task": "binary",
    "rows": {"test": 1344},
    "split": {"from": "1996-12-04T00:00:00Z", "to": "1997-01-01T00:00:00Z"},
    "error": {"name": "share of wrong answers", "is_share": True},
    "metrics": {"error": 0.25, "accuracy": 0.75, "log_loss": 0.5, "auc": 0.82, "ece": 0.03},
    "naive": {"rule": "seasonal_naive", "rows": 1344, "metrics": {"error": 0.33}},
    "finite_weights": True,
    "latency_ms": {"p50": 0.02, "p99": 0.08, "rows": 1},
    "size_mb": 0.05,
    "champion": {
        "model_version": "1",
        "rows": 1344,
        "error": 0.30,
        "challenger_error": 0.26,
        "difference": 0.04,
        "lower_bound": 0.01,
    },
}
FOR_KIND: dict[str, dict[str, Any]] = {
    "two classes": {},
    "classes": {"task": "multiclass", "metrics": {"macro_recall": 0.7, "auc": None}},
    "number": {
        "task": "regression",
        "error": {"name": "mean absolute error", "is_share": False},
        "metrics": {"error": 40.0, "mae": 40.0, "rmse": 55.0, "r2": 0.8, "ece": None, "log_loss": None},
        "naive": {"metrics": {"error": 41.0}},
        "champion": {"error": 42.0, "challenger_error": 41.5, "difference": 0.5, "lower_bound": -0.83},
    },
}
"""What differs from GOOD; the figures of a regression are a hair inside their bounds."""

BAD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "infinite weights": ("two classes", "finite_weights", {"finite_weights": False}),
    "random weights": ("two classes", "baseline", {"metrics": {"error": 0.5}}),
    "constant predictor": ("two classes", "baseline", {"metrics": {"error": 0.42}}),
    "a hair under the margin": ("two classes", "baseline", {"metrics": {"error": 0.3201}}),
    "no number for the error": ("two classes", "baseline", {"metrics": {"error": math.nan}}),
    "no error at all": ("two classes", "baseline", {"metrics": {"error": None}}),
    "no number for the naive rule": ("two classes", "baseline", {"naive": {"metrics": {"error": math.nan}}}),
    "over-confident": ("two classes", "calibration", {"metrics": {"ece": 0.22}}),
    "no number for calibration": ("two classes", "calibration", {"metrics": {"ece": math.nan}}),
    "slow": ("two classes", "latency", {"latency_ms": {"p99": 51.0}}),
    "infinitely slow": ("two classes", "latency", {"latency_ms": {"p99": math.inf}}),
    "too large": ("two classes", "size", {"size_mb": 10.5}),
    "empty artefact": ("two classes", "size", {"size_mb": 0.0}),
    "worse than the champion": ("two classes", "non_inferiority", {"champion": {"lower_bound": -0.021}}),
    "no number for the difference": ("two classes", "non_inferiority", {"champion": {"lower_bound": math.nan}}),
    "champion forgotten": ("two classes", "non_inferiority", {"champion": None}),
    "a class never found": ("classes", "baseline", {"metrics": {"error": 0.6}}),
    "sure of the wrong class": ("classes", "calibration", {"metrics": {"ece": 0.4}}),
    "one unit above the rule": ("number", "baseline", {"metrics": {"error": 42.0}}),
    "less than 1 % below the rule": ("number", "baseline", {"metrics": {"error": 40.7}}),
    "infinitely off": ("number", "baseline", {"metrics": {"error": math.inf}}),
    "worse by 2.1 % of the champion": ("number", "non_inferiority", {"champion": {"lower_bound": -0.882}}),
}
"""What is predicted, the one gate that refuses it, and what is changed."""


def merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The document with the changes; mappings are merged at every depth."""
    changed = dict(document)
    for key, value in changes.items():
        is_part = isinstance(value, dict) and isinstance(changed.get(key), dict)
        changed[key] = merged(changed[key], value) if is_part else value
    return changed


def report(kind: str = "two classes", changes: dict[str, Any] | None = None) -> Evaluation:
    """A good report with the changes, read back from JSON as the Lambda reads it."""
    document = merged(merged(GOOD, FOR_KIND[kind]), changes or {})
    return Evaluation.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("kind", GATES)
def test_a_good_report_passes_every_declared_gate(kind):
    for name, gate in GATES[kind].declared().items():
        verdict = gate.judge(report(kind))
        assert verdict.passed, verdict.sentence
        assert verdict.name == name
        assert verdict.sentence


@pytest.mark.parametrize("case", BAD)
def test_the_planted_bad_report_is_refused_by_its_gate_alone(case):
    kind, name, changes = BAD[case]
    bad = report(kind, changes)
    assert [gate for gate, judged in GATES[kind].declared().items() if not judged.judge(bad).passed] == [name]


@pytest.mark.parametrize("gate", Gates.model_fields)
def test_every_gate_of_the_catalogue_is_judged_here(gate):
    """Also a gate that no workload declares."""
    assert any(gate in gates.declared() for gates in GATES.values()), (
        f"add {gate!r} to DECLARED, with bounds that GOOD keeps"
    )
    assert gate in {name for _, name, _ in BAD.values()}, f"add to BAD a report that {gate!r} alone refuses"


def test_every_bad_report_is_for_a_gate_of_the_catalogue():
    assert {name for _, name, _ in BAD.values()} <= set(Gates.model_fields)


@pytest.mark.parametrize("against", ALTERNATIVES)
def test_of_the_alternatives_one_is_asked(against):
    names = [verdict.name for verdict in judge_all(report(), DECLARED, against=against)]
    assert set(names) == set(DECLARED.declared()) - (set(ALTERNATIVES) - {against})


@pytest.mark.parametrize("name", ["calibration", "size"])
def test_a_gate_that_is_left_out_is_not_judged(name):
    gates = DECLARED.model_copy(update={name: None})
    assert name not in {verdict.name for verdict in judge_all(report(), gates, against="baseline")}
    assert Gates.model_validate(gates.model_dump(exclude_none=True)) == gates


@pytest.mark.parametrize("name", [*ALTERNATIVES, "latency"])
def test_the_others_may_not_be_left_out(name):
    with pytest.raises(ValidationError, match=name):
        Gates.model_validate(DECLARED.model_dump(exclude={name}))


def test_a_worse_model_may_not_hide_behind_the_other_alternative():
    worse = report(changes={"champion": {"lower_bound": -0.5}})
    assert passed(judge_all(worse, DECLARED, against="baseline"))
    assert not passed(judge_all(worse, DECLARED, against="non_inferiority"))


def test_no_verdicts_is_no_pass():
    assert not passed(())


@pytest.mark.parametrize(
    ("log_loss", "naive", "passes"),
    [(0.48, 0.5, True), (0.4901, 0.5, False), (0.6, 0.5, False), (math.nan, 0.5, False), (0.4, None, False)],
)
def test_the_base_rate_is_beaten_in_log_loss(log_loss, naive, passes):
    rule = BaseRate(kind="base_rate", margin=0.02)
    changes = {"metrics": {"log_loss": log_loss, "error": 0.9}, "naive": {"metrics": {"log_loss": naive}}}
    assert rule.judge(report(changes=changes)).passed is passes


@pytest.mark.parametrize(("error", "passes"), [(89.9, True), (90.1, False)])
def test_the_mean_is_beaten_by_a_share_of_its_error(error, passes):
    rule = Mean(kind="mean", margin=0.1)
    changes = {"metrics": {"error": error}, "naive": {"rule": "mean", "metrics": {"error": 100.0}}}
    assert rule.judge(report("number", changes)).passed is passes
