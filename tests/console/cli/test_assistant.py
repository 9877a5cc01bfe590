"""The tools for an assistant answer what the commands print as JSON, and nothing of them acts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from mcp import Client, StdioServerParameters

from millrace.console.cli.app import app
from millrace.console.cli.assistant import TOOLS, server
from tests.console import stored_cloud
from tests.console.cli.test_reading_commands import RECORDED
from tests.shipped import SHIPPED

CALLS: dict[str, dict[str, Any]] = {
    "status": {"workload": "electricity"},
    "runs-of-train": {"machine": "train", "status": "succeeded", "limit": 2},
    "show-refused": {"run": "39e4b78a"},
    "versions": {},
    "live": {"at": "1997-05-20T06:00:00Z"},
    "quarantine": {"limit": 3},
    "data_log": {},
    "decisions": {},
    "why": {"id": "call-1"},
    "cost": {"month": "1997-05"},
    "alarms": {},
    "monitor": {},
}
"""Of recorded outputs of commands what a tool is asked."""


@pytest.fixture(scope="module", autouse=True)
def _stored() -> Iterator[None]:
    with stored_cloud.running(COLUMNS="400"):
        yield


def ask(asked: Any, tool: str, given: dict[str, Any]) -> tuple[str, bool]:
    async def answered() -> tuple[str, bool]:
        async with Client(asked) as client:
            result = await client.call_tool(tool, given)
            return result.content[0].text, bool(result.is_error)

    return anyio.run(answered)


@pytest.mark.parametrize("name", CALLS)
def test_a_tool_answers_what_its_command_prints(name: str) -> None:
    text, is_refused = ask(server(typer.main.get_group(app), "--stage=dev"), name.partition("-")[0], CALLS[name])
    recorded = (RECORDED / f"{name}.json").read_text().partition("--- stderr")[0]
    assert not is_refused, text
    assert [line.rstrip() for line in text.splitlines()] == recorded.splitlines()


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("show", {"run": "nobody"}, "nobody"),
        ("status", {"workload": "electricty"}, "electricity"),
        ("alarms", {"acknowledge": "error"}, "got acknowledge"),
        ("show", {}, "run"),
        ("why", {"id": "call-1", "explain": True}, "a model's decision"),
        ("why", {"id": "call-1", "explain": "yes"}, "expected a value of type boolean"),
        ("decisions", {"id": True}, "expected a value of type string or integer"),
        ("rollback", {}, "expected one of the tools status, runs"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(tool: str, given: dict[str, Any], said: str) -> None:
    text, is_refused = ask(server(typer.main.get_group(app), "--stage=dev"), tool, given)
    assert is_refused
    assert said in text


def test_an_assistant_finds_the_tools_over_stdio() -> None:
    program = Path(sys.executable).with_name("millrace")
    stdio = StdioServerParameters(command=str(program), args=["mcp", "--stage", "dev"], cwd=SHIPPED[0].parents[1])

    async def listed() -> list[Any]:
        async with Client(stdio) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(listed)}
    assert [*tools] == [*TOOLS]
    assert tools["why"].input_schema["required"] == ["id"]
    assert ask(stdio, "rollback", {})[1]
