"""What the process `millrace` says of itself, and of an error."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from console.cli import app as cli


def test_help_names_each_command() -> None:
    told = CliRunner().invoke(cli.app, ["--help"]).output
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert (command.name or command.callback.__name__) in told


def test_each_command_has_an_example() -> None:
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert "Example" in (command.callback.__doc__ or ""), command.callback.__name__


def test_an_error_is_one_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    from millrace.errors import EnvironmentNotFoundError

    def fail() -> None:
        raise EnvironmentNotFoundError("expected an environment, got none")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit, match=r"^millrace: expected an environment, got none$"):
        cli.run()
