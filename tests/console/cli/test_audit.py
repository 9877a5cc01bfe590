"""`millrace audit list` as a person types it, on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from click.testing import Result
from moto import mock_aws
from typer.testing import CliRunner

from console.cli.app import app
from millrace.messages.audit import AuditEvent, VersionLive
from millrace.names import Platform, WorkloadNames
from millrace.state.audit import Record, append
from millrace.timestamps import parse_utc
from tests.credentials import set_credentials
from tests.state_table import create_table

DEV = WorkloadNames(platform=Platform(stage="dev", account="123456789012", region="eu-west-1"), workload="electricity")
RECORDS = 3


@pytest.fixture(autouse=True)
def _records(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A version went live on each of the first days of June 1997."""
    set_credentials(monkeypatch)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    with mock_aws():
        client, table = boto3.client("dynamodb", region_name="eu-west-1"), DEV.platform.audit_table
        create_table(client, table)
        for day in range(1, RECORDS + 1):
            record = Record(
                actor="advance_release",
                execution_arn=DEV.execution_arn("release", f"release-{day}"),
                event=AuditEvent.RELEASE_LIVE,
                as_of=parse_utc(f"1997-06-0{day}T06:00:00Z"),
                cause="event-1",
                details=VersionLive(version=str(day), revision=day, watched_requests=48),
            )
            append(client, table=table, workload=DEV.workload, record=record)
        yield


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", "list", "--stage", "dev", *words])


def test_the_newest_record_is_the_first_line() -> None:
    done = typed()
    head, first, *others = done.stdout.splitlines()
    assert head.split() == ["as", "of", "event", "function", "run", "who", "details"]
    newest = ["1997-06-03", "06:00:00", "release.live", "advance_release", "release-3", "version", "3", "is", "live"]
    assert first.split() == newest
    assert len(others) == RECORDS - 1
    assert done.stderr == ""


@pytest.mark.parametrize(("limit", "lines", "left"), [("1", 1, True), ("3", 3, False), ("0", 3, False)])
def test_a_limit_says_whether_there_are_earlier_records(limit: str, lines: int, left: bool) -> None:
    done = typed("--limit", limit)
    assert len(done.stdout.splitlines()) == 1 + lines
    assert ("and earlier ones: --limit 0 shows all" in done.stderr) is left


def test_programs_get_the_records_whole() -> None:
    (found,) = json.loads(typed("--limit", "1", "--json").stdout)
    key = found.pop("sk")
    assert key.startswith("1997-06-03T06:00:00Z#")
    assert found == {
        "as_of": "1997-06-03T06:00:00+00:00",
        "event": "release.live",
        "actor": "advance_release",
        "execution": DEV.execution_arn("release", "release-3"),
        "cause": "event-1",
        "details": {"version": "3", "revision": 3, "watched_requests": 48},
    }


def test_an_event_without_a_record_is_told_and_an_unknown_one_refused() -> None:
    assert typed("--event", "release.failed").stdout == "No release.failed of electricity has been recorded.\n"
    assert typed("--workload", "xray").stdout == "No decision about xray has been recorded.\n"
    assert "--event: expected one of model.passed" in str(typed("--event", "live").exception)
