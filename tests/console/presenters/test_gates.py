"""A gate's figure against its bound, in the direction in which it passes."""

from __future__ import annotations

import pytest

from console.presenters.gates import compared, measured, required
from console.queries.report import WorkloadReport
from millrace.evaluation.report import ErrorMeaning
from millrace.messages.train import GateVerdict

DUST = ErrorMeaning(name="mean absolute error", is_share=False, unit="µg/m³")


def verdict(name: str, measured: float | None, bound: float | None, *, passed: bool = True) -> GateVerdict:
    return GateVerdict(name=name, passed=passed, measured=measured, bound=bound, sentence="as it was judged")


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (verdict("baseline", 74.35, 75.39), "mean absolute error 74.35 µg/m³ ≤ 75.39 µg/m³"),
        (verdict("baseline", 75.4, 75.39, passed=False), "mean absolute error 75.4 µg/m³ > 75.39 µg/m³"),
        (verdict("baseline", 0.82, 0.4), "log loss lower by 82.0% ≥ 40.0%"),
        (verdict("baseline", 0.1, 0.4, passed=False), "log loss lower by 10.0% < 40.0%"),
        (verdict("calibration", 0.2, 0.15, passed=False), "expected calibration error 0.2 > 0.15"),
        (verdict("latency", 0.0245, 50.0), "p99 0.0245 ms ≤ 50 ms"),
        (verdict("non_inferiority", 0.01, -0.02), "lower bound of the improvement +0.01 ≥ -0.02"),
        (verdict("non_inferiority", -0.03, -0.02, passed=False), "lower bound of the improvement -0.03 < -0.02"),
        (verdict("finite_weights", 1.0, 1.0), "all weights finite"),
        (verdict("finite_weights", 0.0, 1.0, passed=False), "weights that are not finite"),
        (verdict("baseline", None, 1.0, passed=False), "as it was judged"),
        (verdict("fairness", 1.0, 2.0), "as it was judged"),
    ],
)
def test_a_figure_is_compared_in_the_direction_of_its_gate(judged: GateVerdict, words: str) -> None:
    assert compared(judged, DUST) == words


def test_the_sentence_of_a_gate_without_words_of_its_own_is_shown_as_it_is() -> None:
    """A sentence may name a class of the label, and a class may be any text."""
    sentence = "answers for {north} and {0:s} differ by 100%"
    judged = verdict("fairness", 1.0, 2.0).model_copy(update={"sentence": sentence})
    assert compared(judged, DUST) == sentence
    assert required(judged) == sentence
    assert measured(judged) == ""


def test_the_error_is_the_task_s_own(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None
    (baseline,) = [gate for gate in report.models[0].version.gates if gate.name == "baseline"]
    assert compared(baseline, report.live.evaluation.error).startswith("share of wrong answers 0.")
    assert compared(baseline, None).startswith("error 0.")
