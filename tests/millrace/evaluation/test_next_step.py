"""The step that a report advises after a refusal, by the curves, the rival, the slices and the rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.evaluation.gates.gate import Verdict
from millrace.evaluation.next_step import learning_of, next_step
from millrace.evaluation.report import Evaluation
from millrace.messages.train import NextStep
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests import builders

DECLARED = load_workload(Path(__file__).resolve().parents[3] / "workloads" / "income")
EPOCHS = DECLARED.training.family_parameters().epochs
REPORT: dict[str, Any] = builders.REPORT | {
    "rows": {"test": 500},
    "metrics": {"error": 0.2},
    "naive": {"rule": "base_rate", "rows": 500, "metrics": {"error": 0.3}},
}


def verdict(name: str, *, is_warning: bool = False) -> Verdict:
    return Verdict(name=name, passed=is_warning, measured=0.2, bound=0.1, sentence="", is_warning=is_warning)


def rival(value: float, low: float, high: float) -> dict[str, Any]:
    estimate = {"value": value, "low": low, "high": high}
    return {"who": "simple", "name": "boosted trees", "rows": 500, "scores": {}, "improvements": {"error": estimate}}


def advised(*verdicts: Verdict, workload: Workload = DECLARED, **changes: Any) -> NextStep | None:
    return next_step(Evaluation.model_validate(REPORT | changes), verdicts, workload, rows=2500)


def losses(*values: float) -> list[dict[str, float]]:
    return [{"validation_loss": value} for value in values]


def test_no_step_follows_a_pass_or_a_gate_on_speed_alone() -> None:
    assert advised() is None
    assert advised(Verdict(name="size", passed=True, measured=1, bound=2, sentence="")) is None
    assert advised(verdict("latency"), verdict("freshness")) is None


@pytest.mark.parametrize(("name", "kind"), [("champion", "train_again"), ("finite_weights", "lower_rate")])
def test_what_makes_all_figures_void_comes_first(name: str, kind: str) -> None:
    step = advised(verdict(name), verdict("simple"), learning=learning_of(losses(*range(EPOCHS, 0, -1))))
    assert step is not None
    assert step.kind == kind


def test_a_loss_that_still_falls_asks_for_twice_the_epochs() -> None:
    falling = learning_of(losses(*np.linspace(1, 0.5, EPOCHS)))
    step = advised(verdict("baseline"), learning=falling)
    assert step is not None
    assert (step.kind, step.epochs) == ("train_longer", EPOCHS)
    assert step.words == ("tune", "--parameter", f"epochs={2 * EPOCHS}", "--wait")


@pytest.mark.parametrize(
    "history",
    [
        losses(*(1 - math.tanh(5 * at / EPOCHS) for at in range(EPOCHS))),  # flat at its end
        losses(*np.linspace(1, 0.5, EPOCHS - 1)),  # patience ended it
        losses(*([1.0] + [0.5] * (EPOCHS - 1))),
        losses(1.0, math.nan),
        [],
    ],
)
def test_a_training_that_has_ended_its_fall_is_not_to_go_on(history: list[dict[str, float]]) -> None:
    step = advised(verdict("baseline"), learning=learning_of(history))
    assert step is not None
    assert step.kind == "tune"


def test_a_rival_that_is_as_good_says_how_many_rows_decide() -> None:
    # Better by 0.01, and the interval reaches 0.02 below: twice as narrow with four times the rows.
    step = advised(verdict("simple", is_warning=True), contenders=[rival(0.01, -0.01, 0.03)])
    assert step is not None
    assert (step.kind, step.rows) == ("more_rows", 10_000)


def test_a_slice_far_worse_than_all_rows_is_named() -> None:
    slices = [
        {"column": "region", "value": value, "rows": 120, "error": {"value": error, "low": error - 0.05, "high": 0.9}}
        for value, error in (("north", 0.2), ("south", 0.5))
    ]
    step = advised(verdict("slices"), slices={"slices": slices})
    assert step is not None
    assert (step.kind, step.slice, step.rows, step.error) == ("look_at_slice", "region = south", 120, 0.5)


@pytest.mark.parametrize(
    ("workload", "kind"), [("electricity", "look_back"), ("air_quality", "tune"), ("income", "tune")]
)
def test_a_rule_that_looks_back_asks_for_a_past(workload: str, kind: str) -> None:
    declared = load_workload(Path(__file__).resolve().parents[3] / "workloads" / workload)
    refused, passed = (advised(verdict(name), workload=declared) for name in ("baseline", "calibration"))
    assert refused is not None
    assert passed is not None
    assert (refused.kind, passed.kind) == (kind, "tune")
    assert refused.hours == (declared.gates.baseline.label_age_hours if kind == "look_back" else 0)


def test_answers_that_are_cut_ask_for_the_logarithm() -> None:
    cut = {"bound": 0.0, "is_lower": True, "share": 0.12, "label_share": 0.0}
    step = advised(verdict("cut_answers", is_warning=True), cut_answers=[cut])
    assert step is not None
    assert (step.kind, step.words[2]) == ("change_scale", "label_scale=log")


def test_trees_that_are_certainly_better_are_to_answer_too() -> None:
    better = rival(-0.02, -0.03, -0.01)
    alone, beside = (
        DECLARED.model_copy(
            update={
                "training": DECLARED.training.with_parameters({**DECLARED.training.parameters, "trees": trees}),
            }
        )
        for trees in ("none", "mean")
    )
    step = advised(verdict("simple", is_warning=True), workload=alone, contenders=[better])
    assert step is not None
    assert (step.kind, step.rival) == ("add_trees", "boosted trees")
    assert step.words == ("tune", "--parameter", "trees=best", "--wait")
    step = advised(verdict("simple", is_warning=True), workload=beside, contenders=[better])
    assert step is not None
    assert step.kind == "tune"
