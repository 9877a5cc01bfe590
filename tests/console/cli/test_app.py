"""What the process `millrace` says of itself, and of an error."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner

from console.cli import app as cli


def test_no_default_is_shown_as_dynamic() -> None:
    names = [command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback]
    shown = [name for name in names if "(dynamic)" in CliRunner().invoke(cli.app, [name, "--help"]).output]
    assert len(names) > 15
    assert shown == []


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


def test_a_shell_that_names_a_dead_cloud_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise EndpointConnectionError(endpoint_url="http://localhost:9/")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9")
    with pytest.raises(
        SystemExit, match="AWS_ENDPOINT_URL of this shell names http://localhost:9: `unset AWS_ENDPOINT_URL`"
    ):
        cli.run()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(
        SystemExit, match=r'^millrace: AWS: Could not connect to the endpoint URL: "http://localhost:9/"$'
    ):
        cli.run()
