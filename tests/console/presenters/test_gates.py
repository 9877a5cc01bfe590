"""A gate's figure against its bound, in the direction in which it passes."""

from typing import Any

import pytest

from millrace.console.presenters.gates import compared, measured, required
from millrace.messages.train import GateVerdict


def verdict(figure: str, measured: float | None, bound: float | None, unit: str = "", **more: Any) -> GateVerdict:
    return GateVerdict.model_validate(
        {"name": "gate", "passed": True, "sentence": "as it was judged"}
        | {"figure": figure, "measured": measured, "bound": bound, "unit": unit, **more}
    )


LEAST = {"direction": "at_least"}
REFUSED = {"passed": False}
LOSS, LOWER = "log loss saved against the base rate", "lower bound of the improvement"


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (verdict("mean error", 74.35, 75.39, "µg/m³"), "mean error 74.35 µg/m³ ≤ 75.39 µg/m³"),
        (verdict("mean error", 75.4, 75.39, "µg/m³", **REFUSED), "mean error 75.4 µg/m³ > 75.39 µg/m³"),
        (verdict(LOSS, 0.82, 0.4, "%", **LEAST), "log loss saved against the base rate 82% ≥ 40%"),
        (verdict(LOSS, 0.1, 0.4, "%", **LEAST, **REFUSED), "log loss saved against the base rate 10% < 40%"),
        (verdict("r2", 0.3, 0.2, **LEAST), "r2 0.3 ≥ 0.2"),
        (verdict("p99", 0.0245, 50.0, "ms"), "p99 0.0245 ms ≤ 50 ms"),
        (verdict(LOWER, 0.01, -0.02, **LEAST), "lower bound of the improvement +0.01 ≥ -0.02"),
        (verdict(LOWER, -0.03, -0.02, **LEAST, **REFUSED), "lower bound of the improvement -0.03 < -0.02"),
        (verdict("error", 0.02, 0.02), "error 0.02 ≤ 0.02"),
        (verdict("error", 0.0200000004, 0.02, **REFUSED), "error 0.0200000004 > 0.02"),
        (verdict("error", None, 1.0, **REFUSED), "as it was judged"),
        (verdict("", 1.0, 1.0), "as it was judged"),
        (verdict("answers that are used", 0.9, 0.5, "%", **LEAST, **REFUSED), "as it was judged"),
    ],
)
def test_a_figure_is_compared_in_the_direction_of_its_gate(judged: GateVerdict, words: str) -> None:
    assert compared(judged) == words


def test_the_sentence_of_a_verdict_without_a_figure_is_shown_as_it_is() -> None:
    """A sentence may name a class of the label, and a class may be any text."""
    sentence = "answers for {north} and {0:s} differ by 100%"
    judged = verdict("", 1.0, 2.0, sentence=sentence)
    assert compared(judged) == sentence
    assert required(judged) == sentence
    assert measured(judged) == ""
