"""The model beats the workload's naive rule on the test rows."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from millrace.evaluation.gates.gate import Gate, Positive, Verdict
from millrace.evaluation.report import Evaluation

Share = Annotated[float, Field(ge=0, lt=1)]
BEFORE_TEST_DAYS = math.inf
"""The age of the labels of a rule that looks back from no row: the horizon is left out between the parts."""


class NaiveGate(Gate):
    """What every naive rule declares besides its margin."""

    @property
    def label_age_hours(self) -> float:
        """How long before a row the youngest label lies that the rule answers it from."""
        raise NotImplementedError


class SeasonalNaive(NaiveGate):
    """What the label was some hours before, for the same entity."""

    kind: Literal["seasonal_naive"]
    lag_hours: Positive
    margin: Share
    """By how much the model's error must lie below the rule's: for numbers as a share of the rule's error."""

    @property
    def label_age_hours(self) -> float:
        return self.lag_hours

    def judge(self, report: Evaluation) -> Verdict:
        return _judge_error(report, self.kind, self.margin)


class Mean(NaiveGate):
    """The mean of the labels before the test days, always."""

    kind: Literal["mean"]
    margin: Share
    """Share by which the model's error must lie below the rule's."""

    @property
    def label_age_hours(self) -> float:
        return BEFORE_TEST_DAYS

    def judge(self, report: Evaluation) -> Verdict:
        return _judge_error(report, self.kind, self.margin)


class BaseRate(NaiveGate):
    """How often each class occurs before the test days, always: for rows without a season, and for rare classes.

    It is beaten in log loss: where one class is rare, a good model and none are right equally often."""

    kind: Literal["base_rate"]
    margin: Share
    """Share by which the model's log loss must lie below the rule's."""

    @property
    def label_age_hours(self) -> float:
        return BEFORE_TEST_DAYS

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when 1 − log loss / the rule's ≥ margin; without both figures it fails."""
        loss, naive = report.metrics.get("log_loss"), report.naive.metrics.get("log_loss")
        measured = math.nan if loss is None or not naive else 1 - loss / naive
        sentence = (
            f"log loss {_number(loss):.4f} on {report.rows.test} rows, {measured:.1%} below the base rate's; at least "
            f"{self.margin:.1%} required"
        )
        passed = measured >= self.margin
        return Verdict(name="baseline", passed=passed, measured=measured, bound=self.margin, sentence=sentence)


NaiveRule = Annotated[SeasonalNaive | BaseRate | Mean, Field(discriminator="kind")]


def _judge_error(report: Evaluation, rule: str, margin: float) -> Verdict:
    """Passed when the error is at most the rule's error − margin (of an amount: × (1 − margin))."""
    measured, naive = _number(report.metrics.get("error")), _number(report.naive.metrics.get("error"))
    bound = naive - margin if report.error.is_share else naive * (1 - margin)
    words = rule.replace("_", " ")
    below = f"{margin} below {words}" if report.error.is_share else f"{margin:.0%} below {words}"
    sentence = (
        f"{report.error.name} {report.error.amount(measured)} on {report.rows.test} rows; at most "
        f"{report.error.amount(bound)} allowed, {below} ({report.error.amount(naive)})"
    )
    return Verdict(name="baseline", passed=measured <= bound, measured=measured, bound=bound, sentence=sentence)


def _number(value: float | None) -> float:
    # Each comparison with NaN is false: without a figure the gate fails.
    return math.nan if value is None else value
