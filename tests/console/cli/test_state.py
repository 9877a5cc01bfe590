"""`millrace state` as a person types it, on small machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.cli import app as cli
from millrace.errors import EnvironmentNotFoundError, RunError

CALL = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f", "Payload": {"x.$": "$.x"}},
    "ResultPath": "$.step",
    "Retry": [{"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 2, "MaxAttempts": 3, "BackoffRate": 2}],
    "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.lost", "Next": "Which?"}],
    "Next": "Which?",
}
WHICH = {"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "One"}], "Default": "Other"}
PUT = {"Type": "Task", "Resource": "arn:aws:states:::events:putEvents", "Parameters": {"Entries": []}, "End": True}
TELL = {
    "Type": "Map",
    "ItemsPath": "$.drops",
    "ItemSelector": {"cause.$": "$.cause", "item.$": "$$.Map.Item.Value"},
    "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Put", "States": {"Put": PUT}},
    "ResultPath": "$.events",
    "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.lost", "Next": "Which?"}],
    "Next": "Which?",
}
STATES = {
    "Call": CALL,
    "Tell": TELL,
    "Which?": WHICH,
    "One": {"Type": "Succeed"},
    "Other": {"Type": "Fail", "Error": "E"},
}


@pytest.fixture(autouse=True)
def _here(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)


@pytest.fixture(autouse=True, scope="module")
def _release(machine: Callable[..., str]) -> None:
    machine("release", STATES)


def test_what_the_state_reads_is_named_where_it_is_not_there() -> None:
    said = told("Call", "--mock", "error=KeyError", "--input", "{}")
    assert said[0].startswith("Call: FAILED, States.Runtime: ")
    assert said[0].endswith("The JSONPath '$.x' could not be found in the input '{}'")
    assert said[1] == "reads   $.x: --input gives them"
    assert told("Tell", "--mock", "error=KeyError")[1] == "reads   $.drops, $.cause: --input gives them"
    assert not any(line.startswith("reads") for line in told("Call", "--mock", "error=KeyError", "--input", '{"x": 1}'))


def told(*words: str) -> list[str]:
    done = CliRunner().invoke(cli.app, ["state", "release", *words])
    assert done.exit_code == 0, done.exception
    return done.stdout.splitlines()


def test_an_error_that_is_caught() -> None:
    assert told("Call", "--input", '{"x": 1}', "--mock", "error=KeyError:version: 3") == [
        "Call: CAUGHT_ERROR, KeyError: version: 3",
        "caught by Catch 1 of 1 (States.TaskFailed)",
        'call    {"FunctionName": "f", "Payload": {"x": 1}}',
        'output  {"x": 1, "lost": {"Error": "KeyError", "Cause": "version: 3"}}',
        "next    Which?",
    ]


def test_an_error_that_is_retried() -> None:
    lines = told("Call", "--input", '{"x": 1}', "--mock", "error=Lambda.ServiceException", "--retries", "1")
    assert lines[0] == "Call: RETRIABLE, Lambda.ServiceException"
    assert lines[1] == "retried by Retry 1 of 1 (Lambda.ServiceException): 2 of 3, after 4 s at most"
    assert lines[-1] == "next    this state again"
    again = told("Call", "--input", '{"x": 1}', "--mock", "error=Lambda.ServiceException", "--retries", "3")
    assert again[0].startswith("Call: CAUGHT_ERROR")


def test_an_error_that_nothing_takes() -> None:
    assert told("Call", "--input", '{"x": 1}', "--mock", "error=States.Timeout")[-1] == "next    none"
    missing = told("Call", "--mock", "result={}")
    assert "The JSONPath '$.x' could not be found" in missing[0]


def test_a_result_from_a_file(tmp_path: Path) -> None:
    given = tmp_path / "input.json"
    given.write_text('{"x": 2}')
    done = told("Call", "--input", str(given), "--mock", 'result={"Payload": 5}', "--json")
    tried = json.loads("\n".join(done))
    assert (tried["status"], tried["next_state"], tried["handler"]) == ("SUCCEEDED", "Which?", None)
    assert tried["output"]["step"]["Payload"] == 5


@pytest.mark.parametrize(("x", "following"), [(1, "One"), (2, "Other")])
def test_a_choice_needs_no_mock(x: int, following: str) -> None:
    assert told("Which?", "--input", f'{{"x": {x}}}')[-1] == f"next    {following}"


def test_a_map_and_a_state_of_its_iterations() -> None:
    given = ("--input", '{"cause": "c", "drops": ["a", "b"]}')
    assert told("Tell", *given, "--mock", 'result=["one", "two"]') == [
        "Tell: SUCCEEDED",
        'item    {"cause": "c", "item": "a"}',
        'item    {"cause": "c", "item": "b"}',
        'output  {"cause": "c", "drops": ["a", "b"], "events": ["one", "two"]}',
        "next    Which?",
    ]
    lines = told("Tell", *given, "--mock", "error=SQS.SdkClientException")
    assert lines[:2] == ["Tell: CAUGHT_ERROR, SQS.SdkClientException", "caught by Catch 1 of 1 (States.TaskFailed)"]
    assert told("Put", "--mock", 'result={"FailedEntryCount": 0}')[-1] == "next    the end"


def test_the_end() -> None:
    assert told("One")[-1] == "next    the end"
    assert told("Other") == ["Other: FAILED, E", "next    none"]


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (
            ["release", "Nowhere"],
            RunError,
            "expected one of ['Call', 'Tell', 'Which?', 'One', 'Other', 'Put'], got 'Nowhere'",
        ),
        (["releases", "Call"], RunError, "MACHINE: expected one of"),
        (["train", "Call"], EnvironmentNotFoundError, "is it deployed?"),
        (["release", "Call"], RunError, "--mock: expected one, since 'Call' is a task"),
        (["release", "Which?", "--mock", "error=E"], RunError, "--mock: expected none"),
        (["release", "Tell"], RunError, "--mock: expected one, since 'Tell' is a Map state"),
        (["release", "Tell", "--mock", "result={}"], RunError, "--mock result: expected an array"),
        (["release", "Call", "--mock", "error="], RunError, "expected result=JSON, error=NAME"),
        (["release", "Call", "--mock", "result=x"], RunError, "--mock result: expected JSON"),
        (["release", "Call", "--mock", "error=E", "--input", "nowhere.json"], RunError, "--input: expected JSON"),
    ],
)
def test_words_that_do_not_fit(words: list[str], error: type[Exception], said: str) -> None:
    done = CliRunner().invoke(cli.app, ["state", *words])
    assert isinstance(done.exception, error), done
    assert said in str(done.exception)
