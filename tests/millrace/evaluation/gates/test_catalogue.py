"""Each gate passes a good report of every kind of error and refuses the bad one planted for it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from millrace.evaluation.bootstrap import successive
from millrace.evaluation.comparison import compare
from millrace.evaluation.gates.catalogue import Gates, judge_all
from millrace.evaluation.gates.fairness import Fairness
from millrace.evaluation.gates.non_inferiority import NonInferiority
from millrace.evaluation.gates.parts import Parts
from millrace.evaluation.gates.slices import Slices
from millrace.evaluation.gates.value import NumberWorth
from millrace.evaluation.measures.contenders import scores
from millrace.evaluation.naive.constant import BaseRate
from millrace.evaluation.report import Evaluation
from millrace.tasks.binary import Binary
from tests import builders
from tests.kinds import merged

DECLARED = Gates.model_validate(
    {
        "baseline": {"kind": "seasonal_naive", "lag_hours": 24, "margin": 0.01},
        "calibration": {"max_ece": 0.15},
        "latency": {"max_p99_ms": 50},
        "size": {"max_mb": 10},
        "non_inferiority": {"recent_days": 28, "margin": 0.02, "confidence": 0.95},
        "simple": {"kind": "boosted_trees"},
        "slices": {"columns": ["region"], "max_error": 0.3},
        "fairness": {
            "columns": ["sex"],
            "max_demographic_parity_difference": 0.1,
            "min_demographic_parity_ratio": 0.8,
            "max_equalized_odds_difference": 0.1,
        },
        "value": {
            "unit": "EUR",
            "decisions": 20000,
            "worth": {"true_positive": 50, "false_positive": -5, "false_negative": -20, "true_negative": 0},
        },
        "selective": {"max_error": 0.05, "min_coverage": 0.4},
        "robustness": {"noise": 0.1, "missing": 0.1, "max_rise": 0.05},
        "memorisation": {"max_gap": 0.05},
        "leakage": {"max_feature": 0.95},
        "recall": {"at_least": 0.6},
        "precision": {"at_least": 0.5},
        "auc": {"at_least": 0.8},
        "cases": {"rows": [{"name": "closed", "reason": "nothing is sold", "row": {"x": 1}, "answer": {"value": 0}}]},
        "stability": {"max_spread": 0.02},
        "freshness": {"max_age_days": 30},
    }
)
"""Every gate of the catalogue, with bounds that GOOD keeps."""
MEASURED = [name for name, gate in DECLARED.declared().items() if gate.evidence]
NUMBERS = DECLARED.model_copy(
    update={
        **dict.fromkeys(("calibration", "selective", "recall", "precision", "auc")),
        "slices": Slices(columns=("region",), max_error=45.0),
        "fairness": Fairness(columns=("sex",), max_error_difference=5.0),
        "value": DECLARED.value and DECLARED.value.model_copy(update={"worth": NumberWorth(above=-1, below=-3)}),
    }
)
HORIZONS = NUMBERS.model_copy(update={"parts": Parts(margin=0.05)})
CLASSES = DECLARED.model_copy(update=dict.fromkeys(("precision", "auc")))
GATES: dict[str, Gates] = {"two classes": DECLARED, "classes": CLASSES, "number": NUMBERS, "horizons": HORIZONS}
"""By what is predicted."""


def near(value: float, spread: float) -> dict[str, float]:
    """A figure with its interval."""
    return {"value": value, "low": value - spread, "high": value + spread}


def simple(gain: float, spread: float, *, loss: float = 0.02) -> dict[str, Any]:
    """The candidate and a simple model that is worse by `gain`."""
    own: dict[str, Any] = {"who": "candidate", "name": "this model", "rows": 1344}
    own["scores"] = {"error": near(0.25, 0.02), "log_loss": near(0.48, 0.01)}
    scores = {"error": near(0.25 + gain, 0.02), "log_loss": near(0.5, 0.01)}
    improvements = {"error": near(gain, spread), "log_loss": near(loss, 0.01)}
    rival = {"who": "simple", "name": "boosted trees", "rows": 1344, "scores": scores, "improvements": improvements}
    return {"contenders": [own, rival]}


def worst_slice(value: float, spread: float, rows: int = 400) -> dict[str, Any]:
    one = {"column": "region", "value": "north", "rows": rows, "error": near(value, spread)}
    few = {"column": "region", "value": "south", "rows": 3, "error": None}
    return {"slices": {"slices": [one, few]}}


def disparities(spread: float = 0.01, **figures: float) -> dict[str, Any]:
    found = [
        {"column": "sex", "measure": name, "figure": near(value, spread), "lowest": "f (0.2)", "highest": "m (0.3)"}
        for name, value in figures.items()
    ]
    return {"fairness": {"groups": [], "disparities": found}}


def horizons(near: float = 20.0, far: float = 40.0) -> dict[str, Any]:
    """Two horizons by their errors, where the rule errs by 50."""
    errors = {"1 h": near, "24 h": far}
    found = [{"name": name, "figures": {"error": error}, "naive": {"error": 50.0}} for name, error in errors.items()]
    return {"parts": found}


ALIKE = {"demographic_parity_difference": 0.05, "demographic_parity_ratio": 0.9, "equalized_odds_difference": 0.06}


def rises(noise: float, missing: float, spread: float = 0.001) -> dict[str, Any]:
    damaged = [
        {"damage": name, "error": near(0.25 + rise, 0.01), "rise": near(rise, spread)}
        for name, rise in (("noise", noise), ("missing", missing))
    ]
    return {"robustness": {"damaged": damaged}}


def named_case(*, is_right: bool) -> dict[str, Any]:
    came = "value 0" if is_right else "value 1"
    known = {"name": "closed", "reason": "nothing is sold", "expected": "value 0"}
    return known | {"came": came, "is_right": is_right}


GOOD: dict[str, Any] = builders.REPORT | {
    "metrics": {
        "error": 0.25,
        "accuracy": 0.75,
        "log_loss": 0.5,
        "auc": 0.82,
        "ece": 0.03,
        "recall": 0.7,
        "precision": 0.65,
    },
    "intervals": {"recall": near(0.7, 0.02), "precision": near(0.65, 0.02)},
    "naive": {"rule": "seasonal_naive", "rows": 1344, "metrics": {"error": 0.33}},
    "champion": {
        "model_version": "1",
        "rows": 1344,
        "error": 0.30,
        "challenger_error": 0.26,
        "difference": 0.04,
        "lower_bound": 0.01,
    },
    "age_days": 0.5,
    **simple(0.03, 0.02),
    **worst_slice(0.28, 0.01),
    **disparities(**ALIKE),
    "value": {"today": "version 1", "value": near(40000, 2000), "gain": near(12400, 2000)},
    "selective": {
        "threshold": 0.8,
        "calibration_rows": 1344,
        "coverage": near(0.5, 0.02),
        "error": near(0.035, 0.01),
    },
    **rises(0.01, 0.03),
    "memorisation": {"rows": 1344, "train_error": 0.23, "gap": near(0.02, 0.01)},
    "leakage": {"features": [{"column": "price", "explained": 0.4}]},
    "cases": {"cases": [named_case(is_right=True)]},
    "seed_errors": [0.25, 0.245, 0.264],
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
        **worst_slice(44.9, 1.0),
        **disparities(error_difference=4.9),
        **rises(1.9, -0.1),
        "memorisation": {"train_error": 38.1, "gap": near(1.9, 1.0)},
        "seed_errors": [40.0, 39.9, 40.6],
    },
}
FOR_KIND["horizons"] = FOR_KIND["number"] | {"task": "forecast", **horizons()}
"""What differs from GOOD; the figures of a regression are a hair inside their bounds."""

BAD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "infinite weights": ("two classes", "finite_weights", {"finite_weights": False}),
    "random weights": ("two classes", "baseline", {"metrics": {"error": 0.5}}),
    "constant predictor": ("two classes", "baseline", {"metrics": {"error": 0.42}}),
    "a hair under the margin": ("two classes", "baseline", {"metrics": {"error": 0.3201}}),
    "no number for the error": ("two classes", "baseline", {"metrics": {"error": math.nan}}),
    "over-confident": ("two classes", "calibration", {"metrics": {"ece": 0.22}}),
    "finds too few": ("two classes", "recall", {"intervals": {"recall": near(0.59, 0.02)}}),
    "no row to be found": ("two classes", "recall", {"metrics": {"recall": None}}),
    "finds one class alone": ("classes", "recall", {"metrics": {"macro_recall": 0.59}}),
    "cries wolf": ("two classes", "precision", {"intervals": {"precision": near(0.49, 0.02)}}),
    "ranks as a coin does": ("two classes", "auc", {"metrics": {"auc": 0.5}}),
    "slow": ("two classes", "latency", {"latency_ms": {"p99": 51.0}}),
    "too large": ("two classes", "size", {"size_mb": 10.5}),
    "empty artefact": ("two classes", "size", {"size_mb": 0.0}),
    "worse than the champion": ("two classes", "non_inferiority", {"champion": {"lower_bound": -0.021}}),
    "no number for the difference": ("two classes", "non_inferiority", {"champion": {"lower_bound": math.nan}}),
    "champion forgotten": ("two classes", "non_inferiority", {"champion": None}),
    "compared on no row": ("two classes", "non_inferiority", {"champion": {"rows": 0}}),
    "no number beside the champion": ("two classes", "non_inferiority", {"champion": {"challenger_error": math.nan}}),
    "one unit above the rule": ("number", "baseline", {"metrics": {"error": 42.0}}),
    "less than 1 % below the rule": ("number", "baseline", {"metrics": {"error": 40.7}}),
    "no better than boosted trees": ("two classes", "simple", simple(0.01, 0.011)),
    "worse than boosted trees": ("two classes", "simple", simple(-0.05, 0.01)),
    "simple model forgotten": ("two classes", "simple", {"contenders": []}),
    "too few days for an interval": ("two classes", "simple", simple(0.03, math.nan)),
    "bad in one region": ("two classes", "slices", worst_slice(0.35, 0.04)),
    "no number for a slice": ("two classes", "slices", worst_slice(math.nan, math.nan)),
    "no slice of enough rows": ("two classes", "slices", {"slices": {"slices": []}}),
    "slices forgotten": ("two classes", "slices", {"slices": None}),
    "selects fewer women": ("two classes", "fairness", disparities(**ALIKE | {"demographic_parity_difference": 0.15})),
    "selects less than four fifths": (
        "two classes",
        "fairness",
        disparities(**ALIKE | {"demographic_parity_ratio": 0.7}),
    ),
    "finds fewer women": ("two classes", "fairness", disparities(**ALIKE | {"equalized_odds_difference": 0.2})),
    "one figure of fairness forgotten": ("two classes", "fairness", disparities(demographic_parity_difference=0.05)),
    "no number for fairness": ("two classes", "fairness", disparities(math.nan, **ALIKE)),
    "groups forgotten": ("two classes", "fairness", {"fairness": None}),
    "worth less than today's": ("two classes", "value", {"value": {"gain": near(-1, 5000)}}),
    "value forgotten": ("two classes", "value", {"value": None}),
    "sure of too few": ("two classes", "selective", {"selective": {"coverage": near(0.39, 0.1)}}),
    "wrong where it is sure": ("two classes", "selective", {"selective": {"error": near(0.051, 0.01)}}),
    "never sure": ("two classes", "selective", {"selective": {"threshold": None}}),
    "no answer is used": ("two classes", "selective", {"selective": {"error": near(math.nan, 1)}}),
    "breaks under noise": ("two classes", "robustness", rises(0.051, 0.0)),
    "breaks without a sensor": ("two classes", "robustness", rises(0.0, 0.051)),
    "no number under noise": ("two classes", "robustness", rises(math.nan, 0.0)),
    "a damage forgotten": ("two classes", "robustness", {"robustness": {"damaged": []}}),
    "learnt by heart": ("two classes", "memorisation", {"memorisation": {"gap": near(0.06, 0.02)}}),
    "training rows forgotten": ("two classes", "memorisation", {"memorisation": None}),
    "a column is the label": ("two classes", "leakage", {"leakage": {"features": [{"column": "x", "explained": 1.0}]}}),
    "search for leaks forgotten": ("two classes", "leakage", {"leakage": None}),
    "a named row answered otherwise": ("two classes", "cases", {"cases": {"cases": [named_case(is_right=False)]}}),
    "no named row asked": ("two classes", "cases", {"cases": {"cases": []}}),
    "named rows forgotten": ("two classes", "cases", {"cases": None}),
    "another seed is worse": ("two classes", "stability", {"seed_errors": [0.25, 0.25, 0.271]}),
    "another seed is better": ("two classes", "stability", {"seed_errors": [0.25, 0.25, 0.229]}),
    "other seeds lie apart": ("two classes", "stability", {"seed_errors": [0.25, 0.239, 0.261]}),
    "no number for a seed": ("two classes", "stability", {"seed_errors": [0.25, 0.25, math.nan]}),
    "a seed forgotten": ("two classes", "stability", {"seed_errors": [0.25, 0.25]}),
    "seeds 2.1 % apart": ("number", "stability", {"seed_errors": [40.0, 40.0, 40.84]}),
    "stale rows": ("two classes", "freshness", {"age_days": 31}),
    "age forgotten": ("two classes", "freshness", {"age_days": None}),
    "5.1 µg/m³ worse for one group": ("number", "fairness", disparities(error_difference=5.02)),
    "a rise of 5.1 %": ("number", "robustness", rises(2.05, 0.0)),
    "5.1 % better on training rows": ("number", "memorisation", {"memorisation": {"gap": near(2.05, 1.0)}}),
    "one horizon as bad as the rule": ("horizons", "parts", horizons(near=48.0)),
    "no number for a horizon": ("horizons", "parts", horizons(far=math.nan)),
    "horizons forgotten": ("horizons", "parts", {"parts": []}),
    "worse by 2.1 % of the champion": ("number", "non_inferiority", {"champion": {"lower_bound": -0.882}}),
}
"""What is predicted, the one gate that refuses it, and what is changed."""


def report(kind: str = "two classes", changes: dict[str, Any] | None = None) -> Evaluation:
    """A good report with the changes, read back from JSON as the Lambda reads it."""
    document = merged(merged(GOOD, FOR_KIND[kind]), changes or {})
    return Evaluation.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("kind", GATES)
def test_a_good_report_passes_every_declared_gate(kind):
    for gate in GATES[kind].declared().values():
        verdict = gate.judge(report(kind))
        assert verdict.passed, verdict.sentence
        assert verdict.sentence
    named = [verdict.name for verdict in judge_all(report(kind), GATES[kind], against="baseline")]
    assert named == [name for name in GATES[kind].declared() if name != "non_inferiority"]


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


@pytest.mark.parametrize(("rule", "first", "later"), [(0.5, True, True), (0.0, False, True), (-0.01, False, False)])
def test_no_later_model_is_worse_than_the_rule_however_bad_the_champion_is(rule, first, later):
    """`rule` is how much higher the rule's error is than the model's."""
    error = report().metrics["error"]
    found = report(changes={"naive": {"metrics": {"error": error + rule}}})
    for against, passes in (("baseline", first), ("non_inferiority", later)):
        verdicts = judge_all(found, DECLARED, against=against)
        assert [one.name for one in verdicts if not one.passed] == ([] if passes else ["baseline"])


@pytest.mark.parametrize(
    ("log_loss", "naive", "passes"),
    [(0.48, 0.5, True), (0.4901, 0.5, False), (0.6, 0.5, False), (math.nan, 0.5, False), (0.4, None, False)],
)
def test_the_base_rate_is_beaten_in_log_loss(log_loss, naive, passes):
    rule = BaseRate(kind="base_rate", margin=0.02)
    changes = {"metrics": {"log_loss": log_loss, "error": 0.9}, "naive": {"metrics": {"log_loss": naive}}}
    assert rule.judge(report(changes=changes)).passed is passes


WARNED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a tie that is to warn": ("simple", {"otherwise": "warn"}, simple(0.01, 0.011)),
    "a loss that is to warn": ("simple", {"otherwise": "warn"}, simple(-0.05, 0.01)),
    "too few days, of which it is to warn": ("simple", {"otherwise": "warn"}, simple(0.03, math.nan)),
    "a slice that may be too bad": ("slices", {}, worst_slice(0.31, 0.02)),
    "a difference that may be too large": (
        "fairness",
        {},
        disparities(0.06, **ALIKE | {"equalized_odds_difference": 0.11}),
    ),
    "a gain that may be a loss": ("value", {}, {"value": {"gain": near(1000, 2000)}}),
    "a rise that may be too high": ("robustness", {}, rises(0.049, 0.0, spread=0.01)),
    "a gap that may be too wide": ("memorisation", {}, {"memorisation": {"gap": near(0.045, 0.02)}}),
    "a slice judged by its figure": ("slices", {"refuse": "when_likely"}, worst_slice(0.29, 0.02)),
}
"""The gate, how its declaration differs, the report."""


@pytest.mark.parametrize("case", WARNED)
def test_what_is_not_certain_passes_with_a_warning(case: str) -> None:
    name, changes, planted = WARNED[case]
    verdict = DECLARED.declared()[name].model_copy(update=changes).judge(report(changes=planted))
    assert (verdict.passed, verdict.is_warning) == (True, True), verdict.sentence
    assert not DECLARED.declared()[name].judge(report()).is_warning


@pytest.mark.parametrize("measure", ["error", "log_loss"])
def test_a_model_that_forgot_a_rare_class_is_inferior_in_log_loss(measure) -> None:
    """It answers the base rate: the share of wrong answers is within the margin, what it knows is gone."""
    rng, task = np.random.default_rng(0), Binary()
    target_R = (rng.random(4000) < 0.07).astype(np.float32)
    knowing_RW = np.where(target_R > 0, 0.45, 0.04)[:, None].astype(np.float32)
    knowing_RW[:60][target_R[:60] > 0] = 0.8
    constant_RW = np.full_like(knowing_RW, 0.07)
    champion_R, challenger_R = (scores(task, each, target_R)[measure] for each in (knowing_RW, constant_RW))
    compared = compare(champion_R, challenger_R, successive(4000), confidence=0.95)
    planted = compared.model_dump() | {"measure": measure}
    verdict = NonInferiority(recent_days=28, margin=0.02, confidence=0.95, measure=measure).judge(
        report(changes={"champion": planted})
    )
    assert verdict.passed is (measure == "error"), verdict.sentence
    assert verdict.sentence.startswith("log loss" if measure == "log_loss" else "share of wrong answers")


def test_a_comparison_on_a_few_days_is_refused() -> None:
    gate = DECLARED.declared()["non_inferiority"]
    champion = {"rows": 96, "error": 0.3, "challenger_error": 0.1, "difference": 0.2, "lower_bound": math.nan}
    verdict = gate.judge(report(changes={"champion": champion}))
    assert not verdict.passed
    assert "no bound of the improvement, since the rows are of fewer than 5 days" in verdict.sentence
    with pytest.raises(ValidationError, match="greater than or equal to 5"):
        NonInferiority(recent_days=4, margin=0.02, confidence=0.95)


def test_a_comparison_by_another_measure_is_none() -> None:
    gate = DECLARED.declared()["non_inferiority"].model_copy(update={"measure": "log_loss"})
    verdict = gate.judge(report())
    assert (verdict.passed, verdict.sentence) == (False, "the report holds no comparison with the champion in log loss")


@pytest.mark.parametrize(
    "declared",
    [
        {"fairness": {"columns": ["sex"]}},
        {"robustness": {"max_rise": 0.1}},
        {"leakage": {}},
        {"slices": {"columns": [], "max_error": 0.1}},
        {"value": {"unit": "EUR", "decisions": 1, "worth": {"right": 1}}},
        {"simple": {"kind": "forest"}},
    ],
)
def test_a_gate_without_a_bar_is_no_gate(declared: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate(DECLARED.model_dump(exclude_none=True) | declared)


@pytest.mark.parametrize(
    ("kind", "wrong", "warns"),
    [
        ("two classes", 0.83, True),
        ("two classes", 0.48, False),
        ("number", 83.0, False),
    ],
)
def test_a_live_version_that_is_mostly_wrong_says_to_look_at_the_labels(kind: str, wrong: float, warns: bool) -> None:
    known = report(kind, {"champion": {"error": wrong}})
    found = [one for one in judge_all(known, GATES[kind], against="non_inferiority") if one.name == "labels"]
    assert [one.is_warning for one in found] == [True] * warns
