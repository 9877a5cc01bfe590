"""What every machine's definition is checked for when it is built."""

from __future__ import annotations

import pytest
from pydantic import Field

from millrace.infra.machines import release, states
from millrace.infra.machines.paths import Result, path
from millrace.messages.envelope import ExecutionInput, Message
from tests.infra.machines.contexts import states_before


def test_a_state_without_a_comment_is_refused():
    with pytest.raises(ValueError, match="Comment in every state"):
        states.machine("m", start="A", states={"A": {"Type": "Succeed"}}, timeout_s=1)


@pytest.mark.parametrize(
    "value", [{"ResultPath": None}, {"Catch": [{"ResultPath": None}]}, {"Parameters": {"a": [None]}}]
)
def test_a_null_is_refused_for_it_would_be_left_out(value):
    with pytest.raises(ValueError, match="got null in"):
        states.machine("m", start="A", states={"A": {"Type": "Pass", "Comment": "c", **value}}, timeout_s=1)


def test_a_task_that_is_never_tried_again_is_refused():
    task = {"Type": "Task", "Comment": "c", "Resource": states.integration("lambda:invoke"), "End": True}
    each = {"Type": "Map", "Comment": "c", "ItemProcessor": {"StartAt": "A", "States": {"A": task}}}
    with pytest.raises(ValueError, match=r"Retry in every task, got none in \['A'\]"):
        states.machine("m", start="Each", states={"Each": each}, timeout_s=1)


class Champion(Message):
    version: str


class Checked(Message):
    accepted: bool
    champion: Champion | None = None
    sentences: tuple[str, ...] = ()


class Alarm(Message):
    name: str = Field(alias="alarmName")


class Input(ExecutionInput):
    detail: Alarm | Champion


def test_a_path_names_a_field_of_a_step_s_answer() -> None:
    checked = Result("check", Checked)
    assert checked.path() == "$.check.answer"
    assert checked.path("accepted") == "$.check.answer.accepted"
    assert checked.path("champion", "version") == "$.check.answer.champion.version"


def test_a_path_into_the_input_goes_through_unions_and_speaks_the_json_name() -> None:
    assert path(Input, "as_of") == "$.as_of"
    assert path(Input, "detail", "version") == "$.detail.version"
    assert path(Input, "detail", "name") == "$.detail.alarmName"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        (("acepted",), "Checked"),
        (("champion", "verison"), "Champion"),
        (("accepted", "value"), "without fields"),
        (("sentences", "first"), "without fields"),
    ],
)
def test_a_field_that_the_class_does_not_have_stops(fields: tuple[str, ...], where: str) -> None:
    with pytest.raises(ValueError, match=rf"expected a field of .*{where}.*got '{fields[-1]}'"):
        Result("check", Checked).path(*fields)


def test_nothing_is_made_before_the_version_has_passed(context):
    definition = release.definition(context())
    states, before = definition["States"], states_before("Model", definition)
    made = {one["Resource"].rpartition(":")[2] for name in before if (one := states[name])["Type"] == "Task"}
    assert "createProcessingJob.sync" in made
    assert not made & {"createModel", "createEndpointConfig", "createEndpoint", "updateEndpoint"}
    ways = {
        name
        for name, state in states.items()
        for one in (state, *state.get("Choices", ()))
        if one.get("Next") == "Model"
    }
    assert ways == {"Preflighted?", "Preflight completed?"}
