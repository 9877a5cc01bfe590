"""Calls that the machines of the last release made fit this release's functions: an execution outlives a deployment.

They are what a local cloud's executions did say, recorded by `python -m tests.last_release`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import get_type_hints

import pytest
from pydantic import ValidationError, create_model

from millrace.infra.machines.states import invoked
from millrace.messages.envelope import Message
from tests.functions.cold_start import cold_starts, set_variables
from tests.infra.machines import edges
from tests.last_release import FOLDER, record

RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
NEW = {"judge_phase"}
"""Functions that the last release did not have."""
CALLS = [
    pytest.param(function, payload, id=f"{function}-{number}")
    for function, payloads in RECORDED.items()
    for number, payload in enumerate(payloads)
]


@pytest.fixture(scope="module")
def message() -> Iterator[Callable[[str], type[Message]]]:
    """`message("budget")`: what the handler of this function takes."""
    with pytest.MonkeyPatch.context() as patch, cold_starts() as start:
        images = {"MILLRACE_INFERENCE_IMAGE": "image", "MILLRACE_PROCESSING_IMAGE": "image"}
        set_variables(patch, MILLRACE_CODE_DIGEST="c0de", MILLRACE_KEY_ARN="arn:k", **images)

        @cache
        def find(function: str) -> type[Message]:
            start(function)
            handler = inspect.unwrap(sys.modules[f"millrace.functions.{function}.handler"].handler)
            return next(iter(get_type_hints(handler).values()))

        yield find


def unrecorded(functions: Iterable[str]) -> set[str]:
    """The functions that machines call, without these."""
    arns = {arn for definition in edges.definitions().values() for arn in invoked(definition)}
    return {arn.rpartition("-")[2] for arn in arns}.difference(functions)


def test_every_function_of_a_machine_has_a_record():
    assert unrecorded(RECORDED) == NEW
    assert unrecorded(RECORDED.keys() - {"guard"}) == NEW | {"guard"}


@pytest.mark.parametrize(("function", "payload"), CALLS)
def test_a_call_of_the_last_release_is_understood(message, function, payload):
    assert message(function).model_validate(payload).run == payload["run"]


@pytest.mark.parametrize(("function", "payload"), CALLS)
def test_a_state_that_needs_one_more_field_is_found(message, function, payload):
    taken = message(function)
    state = create_model("State", __base__=taken.model_fields["state"].annotation, brand_new=(str, ...))
    with pytest.raises(ValidationError) as refused:
        create_model("Taken", __base__=taken, state=(state, ...)).model_validate(payload)
    assert [error["loc"] for error in refused.value.errors()] == [("state", "brand_new")]


def test_a_call_is_recorded_once_by_shape_without_what_differs_by_run(tmp_path):
    drop, other = {"uri": "a", "digest": "5e" * 32}, {"uri": "b"}
    long = {"run": "7c1b2f0e-feb4-4cf7-a9f1-bf3703467718", "drops": [drop, drop, other]}
    short = {"run": "r", "drops": [drop, other]}
    record([("ingestion", long), ("ingestion", short), ("guard", {"run": "r"})], tmp_path)
    assert json.loads((tmp_path / "guard.json").read_text()) == [{"run": "r"}]
    (kept,) = json.loads((tmp_path / "ingestion.json").read_text())
    assert kept == {"run": "r", "drops": [{"uri": "a", "digest": f"1{1:063d}"}, other]}


@pytest.mark.parametrize("payload", RECORDED["budget"])
def test_a_training_of_the_last_release_may_start(aws, load, payload):
    assert load("budget")(payload)["accepted"]
    assert aws.leases.find("train").holder == payload["execution"]


@pytest.mark.parametrize("payload", RECORDED["gating"])
def test_a_model_of_the_last_release_is_judged(aws, load, trained_run, payload):
    trained_run(payload["run"])
    answer = load("gating")(payload)
    assert answer["verdicts"]
    assert [record["details"] for record in aws.audit()] == [answer]


@pytest.mark.parametrize("payload", RECORDED["guard"])
def test_a_retraining_of_the_last_release_is_decided(aws, load, payload):
    answer = load("guard")(payload)
    assert (answer["accepted"], answer["evidence"]["new_labels"]) == (False, 0)
    assert [record["cause"] for record in aws.audit()] == [payload["state"]["cause"]]
