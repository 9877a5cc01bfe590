from __future__ import annotations

import pytest
from pydantic import Field

from millrace.infra.machines.paths import Result, path
from millrace.messages.envelope import ExecutionInput, Message


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
