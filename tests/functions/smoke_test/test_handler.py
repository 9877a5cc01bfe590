"""The smoke test: the challenger speaks HTTP, right or wrong."""

import json

import pytest

from millrace.evaluation.sample import write_sample
from tests.challenger import answering
from tests.functions.cold_start import NAMES

ROWS = [{"nswprice": 0.05, "period": 0.5}, {"nswprice": 0.09, "period": 0.75}]
EXPECTED = [0.25, 0.875]
URI = NAMES.run_uri("7c1b2f0e-first", "evaluation", "sample.jsonl")


def answers(probabilities):
    """A text stands for the answer of a task of classes."""
    return [
        {"value": one, "confidence": 0.5}
        if isinstance(one, str)
        else {"value": 1, "probability": one, "confidence": one}
        for one in probabilities
    ]


def sample(probabilities):
    return write_sample({"row": row, "answer": one} for row, one in zip(ROWS, answers(probabilities), strict=False))


class Challenger:
    """What the endpoint answers, and what it was asked."""

    def __init__(self):
        self.version, self.probabilities, self.asked = "1", list(EXPECTED), []


@pytest.fixture
def challenger(aws, monkeypatch):
    state = Challenger()

    def answer(path, body):
        assert path == "/endpoints/millrace-local-electricity-challenger/invocations"
        state.asked.append(json.loads(body))
        return 200, json.dumps({"model_version": state.version, "predictions": answers(state.probabilities)}).encode()

    aws.put(URI, sample(EXPECTED))
    with answering(monkeypatch, answer):
        yield state


def test_the_model_that_was_evaluated_passes(challenger, load, event):
    challenger.probabilities[0] += 0.00009
    answer = load("smoke_test")(event("smoke_test"))
    assert (answer["passed"], answer["rows"]) == (True, 2)
    assert challenger.asked == [{"rows": ROWS}]


@pytest.mark.parametrize(
    ("version", "expected", "came", "words"),
    [
        (
            "1",
            EXPECTED,
            [0.25, 0.8752],
            "row 2 of 2: probability: expected 0.875 as evaluated, within 1e-04, got 0.8752",
        ),
        ("7", EXPECTED, EXPECTED, "version 7 answered"),
        ("1", EXPECTED, [0.25], "expected 2 answers, got 1"),
        ("1", EXPECTED, [None, 0.875], "row 1 of 2: probability: expected 0.25 as evaluated, within 1e-04, got None"),
        ("1", [], [], ""),  # no rows are no proof
        ("1", ["up", "down"], ["up", "up"], "row 2 of 2: value: expected 'down'"),
        ("1", ["up", "down"], ["up", "down"], None),
    ],
)
def test_any_other_model_is_refused(aws, challenger, load, event, version, expected, came, words):
    aws.put(URI, sample(expected))
    challenger.version, challenger.probabilities = version, came
    answer = load("smoke_test")(event("smoke_test"))
    assert answer["passed"] is (words is None)
    assert (words or "") in answer["sentence"]
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
