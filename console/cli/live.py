"""`millrace live`: which version is live, or was at a time."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from console.cli.environment import find
from console.cli.options import Build, Json, Stage, Workload
from console.cli.printing import show_json, show_rows


def live(
    stage: Stage,
    workload: Workload,
    build: Build,
    as_json: Json,
    at: Annotated[str, typer.Option(help="A time as 1997-05-20T06:00:00 (UTC); without it now.")] = "",
) -> None:
    """Show which version was live at a time: since and until when, who approved it, by which endpoint configuration.

    Example: millrace live --at 1997-05-20T06:00:00. The audit records of releases and rollbacks say so; the workload
    need not be deployed any more."""
    from console.queries.live import find_live

    found = find_live(*find(stage, build, workload), _moment(at))
    if as_json:
        show_json(asdict(found))
        return
    approval = f"{found.approved_by}: {found.approval}" if found.approved_by else "nobody had to"
    rollback = f"{found.rolled_back_by}: {found.rollback}" if found.rolled_back_by else ""
    row = {"version": found.version, "since": found.since, "until": found.until or "now", "approved_by": approval}
    row |= {"rolled_back_by": rollback} if rollback else {}
    row |= {"endpoint_configuration": found.endpoint_config, "release": found.execution, "revision": found.revision}
    show_rows([row], as_json=False, nothing="")


def _moment(text: str) -> datetime | None:
    """The time of an ISO 8601 text; None for "". Raises EnvironmentNotFoundError if the text is no time."""
    from millrace.errors import EnvironmentNotFoundError
    from millrace.timestamps import parse_utc

    try:
        return parse_utc(text) if text else None
    except ValueError:
        expected = "a time as 1997-05-20T06:00:00"
        raise EnvironmentNotFoundError(f"--at: expected {expected}, got {text!r}") from None
