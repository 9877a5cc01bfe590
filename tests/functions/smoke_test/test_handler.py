"""The smoke test: the challenger speaks HTTP, right or wrong."""

import json

import pytest

from tests.challenger import answering

ROWS = [{"nswprice": 0.05, "period": 0.5}, {"nswprice": 0.09, "period": 0.75}]
EXPECTED = [0.25, 0.875]


def answers(probabilities):
    """A text stands for the answer of a task of classes."""
    return [
        {"value": one, "confidence": 0.5}
        if isinstance(one, str)
        else {"value": 1, "probability": one, "confidence": one}
        for one in probabilities
    ]


def sample(probabilities):
    return json.dumps({"rows": ROWS[: len(probabilities)], "answers": answers(probabilities)})


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

    aws.put(
        aws.names.run_uri("7c1b2f0e-first", "evaluation", "sample.json"),
        sample(EXPECTED),
    )
    with answering(monkeypatch, answer):
        yield state


def test_the_model_that_was_evaluated_passes(challenger, load, event):
    challenger.probabilities[0] += 0.00009
    answer = load("smoke_test")(event("smoke_test"))
    assert answer["passed"]
    assert answer["rows"] == 2
    assert challenger.asked == [{"rows": ROWS}]


@pytest.mark.parametrize(
    ("version", "probabilities", "words"),
    [
        ("1", [0.2502, 0.875], "largest difference"),
        ("1", [0.875, 0.25], "largest difference"),
        ("7", EXPECTED, "version 7 answered"),
        ("1", [0.25], "expected 2 answers, got 1"),
        ("1", [0.25, 0.875, 0.5], "expected 2 answers"),
        ("1", [float("nan"), 0.875], "a number is missing"),
        ("1", [None, 0.875], "a number is missing"),
    ],
)
def test_any_other_model_is_refused(challenger, load, event, version, probabilities, words):
    challenger.version, challenger.probabilities = version, probabilities
    answer = load("smoke_test")(event("smoke_test"))
    assert not answer["passed"]
    assert words in answer["sentence"]


def test_no_rows_are_no_proof(aws, challenger, load, event):
    uri = aws.names.run_uri("7c1b2f0e-first", "evaluation", "sample.json")
    aws.put(uri, sample([]))
    challenger.probabilities = []
    assert not load("smoke_test")(event("smoke_test"))["passed"]


@pytest.mark.parametrize(("came", "passed"), [(["up", "down"], True), (["up", "up"], False)])
def test_a_text_must_be_the_same(aws, challenger, load, event, came, passed):
    uri = aws.names.run_uri("7c1b2f0e-first", "evaluation", "sample.json")
    aws.put(uri, sample(["up", "down"]))
    challenger.probabilities = came
    answer = load("smoke_test")(event("smoke_test"))
    assert answer["passed"] is passed
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
