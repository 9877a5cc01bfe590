"""What machines put on the bus, and what functions answer, are the classes of `millrace.messages`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.infra.constructs.rule import pattern_of
from millrace.infra.machines import endpoints, monitor, states, train
from millrace.infra.machines.paths import Result, path
from millrace.messages.envelope import ExecutionInput
from millrace.messages.events import (
    EVENTS,
    DatasetCommitted,
    ModelReleased,
    RetrainRequested,
)
from millrace.messages.monitor import PlannedState
from millrace.messages.release import PackageToRelease, ReleaseStarted, StartedState
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.train import PinnedState
from tests.infra.machines.contexts import DEFINITIONS, MODULES, all_states

FOLDER = Path(__file__).resolve().parents[3] / "functions"
RESULTS = sorted(
    {value for module in MODULES.values() for value in vars(module).values() if isinstance(value, Result)},
    key=lambda result: (result.name, result.message.__name__),
)
"""Of every machine's module. A result has the function's name."""


OF_FUNCTIONS = {
    *("alarm.unanswered", "data.late", "endpoint.orphaned", "job.done", "job.failed", "release.untidy", "run.unheard"),
    "schema.drifted",
}
"""Put by functions, not by a state of a machine."""


def entries(context: Any) -> Iterator[dict[str, Any]]:
    for definition in DEFINITIONS.values():
        for state in all_states(definition(context())).values():
            if state.get("Resource", "").endswith("events:putEvents"):
                yield from state["Parameters"]["Entries"]


def test_machines_put_every_event_of_the_catalogue_and_no_other(context: Any) -> None:
    assert {(entry["Source"], entry["DetailType"]) for entry in entries(context)} == {
        ("millrace", detail_type) for detail_type in EVENTS.keys() - OF_FUNCTIONS
    }


@pytest.mark.parametrize("fields", [("version",), ("package_arn", "version", "previous_version", "label")])
def test_a_detail_that_does_not_fit_its_class_stops(context: Any, fields: tuple[str, ...]) -> None:
    started = Result("start_release", ReleaseStarted)
    with pytest.raises(ValueError, match=r"model.released: expected the fields \['cause', 'package_arn'"):
        states.put_event(
            context(),
            "Released",
            event=ModelReleased,
            detail=states.fields(started, *fields),
            comment="c",
            next_state=None,
        )


def test_a_rule_on_a_field_that_the_event_does_not_have_stops() -> None:
    assert pattern_of(DatasetCommitted, workload="w", feed=["training"])["detail-type"] == ["dataset.committed"]
    with pytest.raises(ValueError, match=r"dataset.committed: expected fields among .*, got \['rows'\]"):
        pattern_of(DatasetCommitted, workload="w", rows=[1])


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: f"{result.name}-{result.message.__name__}")
def test_a_function_answers_the_class_that_its_machine_reads(result: Result) -> None:
    module = ast.parse((FOLDER / result.name / "handler.py").read_text())
    (handler,) = (one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "handler")
    assert handler.returns is not None
    assert result.message.__name__ in ast.unparse(handler.returns).split(" | ")


@pytest.mark.parametrize(
    ("result", "state"),
    [(train.SNAPSHOT, PinnedState), (endpoints.RELEASE, StartedState), (monitor.WINDOWS, PlannedState)],
)
def test_a_later_function_reads_an_answer_where_its_machine_keeps_it(
    result: Result, state: type[ExecutionInput]
) -> None:
    assert path(state, result.name, "answer") == result.path()
    assert state.model_fields[result.name].annotation.model_fields["answer"].annotation is result.message


def test_what_an_input_reads_of_an_event_is_in_the_event() -> None:
    assert RetrainRequested.model_fields.keys() & RetrainingRequest.model_fields.keys() == {"alarms"}
    assert PackageToRelease.model_fields.keys() < EVENTS["model.registered"].model_fields.keys()
