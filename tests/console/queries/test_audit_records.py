"""The audit's records on moto: the newest first, of one event, so many at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from console.environment import Environment
from console.queries.audit_records import event_of, find_records
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionLive
from millrace.messages.envelope import Message
from millrace.state.audit import Record, append
from millrace.timestamps import parse_utc
from tests.console.conftest import NAMES
from tests.credentials import set_credentials
from tests.state_table import create_table

TABLE = NAMES.platform.audit_table
LIVE, STEP = AuditEvent.RELEASE_LIVE, AuditEvent.TEARDOWN_STEP


def record(day: int, event: AuditEvent, details: Message) -> Record:
    return Record(
        actor="a_function",
        execution_arn=NAMES.execution_arn("release", f"run-{day}"),
        event=event,
        as_of=parse_utc(f"1997-06-{day:02}T06:00:00Z"),
        cause="console",
        details=details,
    )


LIVES = [record(day, LIVE, VersionLive(version=str(day), revision=day, watched_requests=48)) for day in (1, 2, 4)]
REMOVED = record(3, STEP, ResourcesRemoved(step="endpoints", found=("endpoint a",)))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        yield Environment(platform=NAMES.platform, client={"dynamodb": client}.__getitem__)


@pytest.fixture
def filled(environment: Environment) -> Environment:
    client = environment.client("dynamodb")
    create_table(client, TABLE)
    for one in (*LIVES, REMOVED):
        append(client, table=TABLE, workload=NAMES.workload, record=one)
    append(client, table=TABLE, workload="other", record=REMOVED)
    return environment


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [LIVES[2], REMOVED, LIVES[1], LIVES[0]]),
        ({"limit": 2}, [LIVES[2], REMOVED]),
        ({"event": STEP}, [REMOVED]),
        ({"event": LIVE, "limit": 2}, [LIVES[2], LIVES[1]]),
        ({"event": AuditEvent.ROWS_WITHDRAWN}, []),
    ],
    ids=["all", "two", "of an event", "two of an event", "none"],
)
def test_the_newest_records_come_first(filled: Environment, options: dict[str, Any], expected: list[Record]) -> None:
    assert find_records(filled, NAMES, **options) == expected


def test_a_stage_without_the_table_is_told(environment: Environment) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=f"expected the table {TABLE} in this .* stage local is not"):
        find_records(environment, NAMES)


def test_an_event_is_known_by_its_name() -> None:
    assert (event_of("release.live"), event_of("")) == (LIVE, None)
    with pytest.raises(EnvironmentNotFoundError, match=r"--event: expected one of model.passed, .*, got 'live'"):
        event_of("live")
