"""`millrace mcp`: the commands that only read, as tools of the Model Context Protocol, for somebody's assistant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import reduce
from importlib.metadata import version
from io import StringIO
from typing import TYPE_CHECKING, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.exceptions import TyperException

from millrace.console.cli.options import Build, Stage
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

TOOLS: Mapping[str, tuple[str, ...]] = {
    "status": (),
    "runs": ("machine", "status", "limit"),
    "show": ("run", "lines"),
    "logs": ("name", "lines"),
    "versions": (),
    "live": ("at",),
    "decisions": ("first", "last", "id", "limit"),
    "why": ("id", "explain"),
    "quarantine": ("drop", "reason", "limit"),
    "data_log": ("limit",),
    "alarms": (),
    "monitor": ("limit",),
    "cost": ("month",),
}
"""The commands, each with the parameters that an assistant may give: none that acts, and none that writes a file."""
FAILURES = (MillraceError, ClientError, BotoCoreError, TyperException)


def mcp(context: typer.Context, stage: Stage, build: Build) -> None:
    """Serve the reading commands to an assistant, as tools of the Model Context Protocol (stdio).

    Example: claude mcp add millrace -- millrace mcp --stage prod. They answer by your own credentials and change
    nothing. It needs the extra: pip install "millrace[assistant]"."""
    import anyio
    from mcp.server.stdio import stdio_server

    served = server(context.find_root().command, f"--stage={stage}", f"--build={build}")

    async def serve() -> None:
        async with stdio_server() as (received, sent):
            await served.run(received, sent, served.create_initialization_options())

    anyio.run(serve)


def server(millrace: Any, *options: str) -> Server[Any]:
    """The tools on the stage that the options name. `millrace` is the group of all commands."""
    from mcp import types
    from mcp.server.lowlevel import Server

    async def listed(*_: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(**_described(name, millrace)) for name in TOOLS])

    async def called(_: object, request: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            text, is_error = _answer(millrace, request.name, request.arguments or {}, options), False
        except FAILURES as error:
            text, is_error = str(error), True
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)

    return Server("millrace", version=version("millrace"), on_list_tools=listed, on_call_tool=called)


def _command(name: str, millrace: Any) -> Any:
    """The command of a tool: `data_log` is `millrace data log`."""
    return reduce(lambda group, word: group.commands[word], name.split("_"), millrace)


def _offered(name: str, millrace: Any) -> dict[str, Any]:
    """What the tool may be asked for."""
    return {each.name: each for each in _command(name, millrace).params if each.name in (*TOOLS[name], "workload")}


def _types(option: Any) -> dict[type, str]:
    """The types of the values that the option takes, each with its name in JSON."""
    return {bool: "boolean"} if getattr(option, "is_flag", False) else {str: "string", int: "integer"}


def _described(name: str, millrace: Any) -> dict[str, Any]:
    offered = _offered(name, millrace)
    keys = {key: {"type": [*_types(each).values()], "description": each.help or key} for key, each in offered.items()}
    needed = [key for key, each in offered.items() if each.required]
    schema = {"type": "object", "properties": keys, "required": needed, "additionalProperties": False}
    return {"name": name, "description": _command(name, millrace).help, "input_schema": schema}


def _answer(millrace: Any, name: str, given: Mapping[str, Any], options: Sequence[str]) -> str:
    """What the command prints as JSON. Raises one of FAILURES as the command does."""
    if name not in TOOLS:
        raise typer.BadParameter(f"expected one of the tools {', '.join(TOOLS)}, got {name!r}")
    offered = _offered(name, millrace)
    if unknown := sorted(given.keys() - offered.keys()):
        raise typer.BadParameter(f"expected some of {', '.join(offered)}, got {', '.join(unknown)}")
    for key, value in given.items():
        if type(value) not in (types := _types(offered[key])):
            raise typer.BadParameter(f"{key}: expected a value of type {' or '.join(types.values())}, got {value!r}")
    typed = [(offered[key].opts[0], value) for key, value in given.items() if value is not False]
    named = [name if value is True else f"{name}={value}" for name, value in typed if name.startswith("-")]
    words = [str(value) for name, value in typed if not name.startswith("-")]
    with redirect_stdout(StringIO()) as printed:
        _command(name, millrace).main([*named, *options, "--json", "--", *words], prog_name=name, standalone_mode=False)
    return printed.getvalue()
