"""Each gate passes a good report and refuses the bad one planted for it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from millrace.evaluation.gates.catalogue import ALTERNATIVES, GATES, judge_all, passed
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import BaseRate
from millrace.workload.load import load_workload

GATE_BOUNDS = load_workload(Path("workloads/electricity")).gates

GOOD = {
    "rows": {"test": 1344},
    "split": {"from": "1996-12-04T00:00:00Z", "to": "1997-01-01T00:00:00Z"},
    "metrics": {"accuracy": 0.75, "log_loss": 0.5, "auc": 0.82, "ece": 0.03, "baseline_accuracy": 0.67},
    "finite_weights": True,
    "latency_ms": {"p50": 0.02, "p99": 0.08, "rows": 1},
    "size_mb": 0.05,
    "champion": {
        "model_version": "1",
        "accuracy": 0.70,
        "challenger_accuracy": 0.74,
        "rows": 1344,
        "difference": 0.04,
        "lower_bound": 0.01,
    },
}

BAD = {
    "infinite weights": ("finite_weights", {"finite_weights": False}),
    "random weights": ("baseline", {"metrics": {"accuracy": 0.5}}),
    "constant predictor": ("baseline", {"metrics": {"accuracy": 0.58}}),
    "a hair under the margin": ("baseline", {"metrics": {"accuracy": 0.6799}}),
    "no number for accuracy": ("baseline", {"metrics": {"accuracy": math.nan}}),
    "no number for the baseline": ("baseline", {"metrics": {"baseline_accuracy": math.nan}}),
    "over-confident": ("calibration", {"metrics": {"ece": 0.22}}),
    "no number for calibration": ("calibration", {"metrics": {"ece": math.nan}}),
    "slow": ("latency", {"latency_ms": {"p99": 51.0}}),
    "infinitely slow": ("latency", {"latency_ms": {"p99": math.inf}}),
    "too large": ("size", {"size_mb": 10.5}),
    "empty artefact": ("size", {"size_mb": 0.0}),
    "worse than the champion": ("non_inferiority", {"champion": {"lower_bound": -0.021}}),
    "no number for the difference": ("non_inferiority", {"champion": {"lower_bound": math.nan}}),
    "champion forgotten": ("non_inferiority", {"champion": None}),
}


def report(changes=None):
    """GOOD with the changes, one level deep, read back from JSON as the Lambda reads it."""
    changed = dict(GOOD)
    for key, value in (changes or {}).items():
        changed[key] = {**GOOD[key], **value} if isinstance(value, dict) else value
    return Evaluation.model_validate_json(json.dumps(changed))


@pytest.mark.parametrize("name", GATES)
def test_a_good_report_passes(name):
    verdict = GATES[name](report(), GATE_BOUNDS)
    assert verdict.passed
    assert verdict.name == name
    assert verdict.sentence


@pytest.mark.parametrize("case", BAD)
def test_the_planted_bad_report_is_refused_by_its_gate_alone(case):
    name, changes = BAD[case]
    bad = report(changes)
    assert [gate for gate, judge in GATES.items() if not judge(bad, GATE_BOUNDS).passed] == [name]


def test_every_gate_has_a_bad_report():
    assert {name for name, _ in BAD.values()} == set(GATES)


@pytest.mark.parametrize("against", ALTERNATIVES)
def test_of_the_alternatives_one_is_asked(against):
    names = [verdict.name for verdict in judge_all(report(), GATE_BOUNDS, against=against)]
    assert set(names) == set(GATES) - (set(ALTERNATIVES) - {against})


def test_a_worse_model_may_not_hide_behind_the_other_alternative():
    worse = report({"champion": {"lower_bound": -0.5}})
    assert passed(judge_all(worse, GATE_BOUNDS, against="baseline"))
    assert not passed(judge_all(worse, GATE_BOUNDS, against="non_inferiority"))


def test_no_verdicts_is_no_pass():
    assert not passed(())


@pytest.mark.parametrize(
    ("log_loss", "naive", "passes"),
    [(0.48, 0.5, True), (0.4901, 0.5, False), (0.6, 0.5, False), (math.nan, 0.5, False), (0.4, None, False)],
)
def test_the_base_rate_is_beaten_in_log_loss(log_loss, naive, passes):
    gates = GATE_BOUNDS.model_copy(update={"baseline": BaseRate(kind="base_rate", margin=0.02)})
    metrics = {"log_loss": log_loss, "baseline_log_loss": naive, "accuracy": 0.1}
    assert GATES["baseline"](report({"metrics": metrics}), gates).passed is passes
