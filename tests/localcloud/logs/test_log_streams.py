"""The lines that functions and jobs wrote, as CloudWatch Logs tells them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.logs.log_streams import log_streams


@pytest.fixture
def logs(client: Callable[[str], Any]) -> Any:
    return client("logs")


def write(cloud: Any, path: str, *lines: str) -> Path:
    file: Path = cloud.workspace / "logs" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as log:
        log.writelines(f"{line}\n" for line in lines)
    return file


def messages(logs: Any, group: str, **asked: Any) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **asked)
    return [event["message"] for page in pages for event in page["events"]]


def test_lines_have_the_time_of_their_invocations_end(logs: Any, cloud: Any) -> None:
    log = write(cloud, "functions/timely.log", "one", "REPORT one")
    log_streams(cloud).mark(log)
    between = cloud.clock.now() + timedelta(minutes=1)
    cloud.clock.move(between + timedelta(minutes=1))
    write(cloud, "functions/timely.log", "two", "REPORT two")
    log_streams(cloud).mark(log)
    cloud.clock.move(cloud.clock.now() + timedelta(days=20))
    at = int(between.timestamp() * 1000)
    assert messages(logs, "/aws/lambda/timely", endTime=at) == ["one", "REPORT one"]
    assert messages(logs, "/aws/lambda/timely", startTime=at) == ["two", "REPORT two"]
    assert messages(logs, "/aws/lambda/timely", filterPattern="REPORT") == ["REPORT one", "REPORT two"]


def test_what_is_still_written_is_read_as_it_comes(logs: Any, cloud: Any) -> None:
    log = write(cloud, "functions/running.log", "whole")
    with log.open("a") as file:
        file.write("ha")
    assert messages(logs, "/aws/lambda/running") == ["whole"]
    with log.open("a") as file:
        file.write("lf\n\nlast\n")
    assert messages(logs, "/aws/lambda/running") == ["whole", "half", "last"]
    (event, *_) = logs.get_log_events(logGroupName="/aws/lambda/running", logStreamName="[$LATEST]local")["events"]
    said = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    assert abs(said - cloud.clock.now()) < timedelta(minutes=1)


def test_a_group_that_was_deleted_is_not_made_again_by_the_lines_of_before(logs: Any, cloud: Any) -> None:
    """Else a workload that was removed could not be deployed again: its template makes the group."""
    logs.create_log_group(logGroupName="/aws/lambda/removed")
    write(cloud, "functions/removed.log", "one")
    logs.delete_log_group(logGroupName="/aws/lambda/removed")
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/removed")["logGroups"] == []
    write(cloud, "functions/removed.log", "two")
    assert messages(logs, "/aws/lambda/removed") == ["two"]


def test_a_group_that_nobody_wrote_to_is_not_there(logs: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        messages(logs, "/aws/lambda/nobody")
