"""Decisions that no monitor run judges, by the manifests of the runs and the objects in the lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from console.queries.monitoring import MonitorRun
from console.queries.monitoring_limits import MOST_READ, find_unjudged
from console.queries.report import WorkloadReport
from millrace.messages.monitor import InputReport, MonitorReport, WindowReport
from tests.console.conftest import NAMES

LAKE = NAMES.platform.bucket("lake")
SEEN = InputReport(rows=1, usual_rows=1, ratio=None, findings=())


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="eu-west-1")
        client.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def keep(s3: Any, day: str, name: str = "x", lines: int = 1) -> str:
    key = f"{NAMES.workload}/decisions/date={day}/{name}.jsonl"
    s3.put_object(Bucket=LAKE, Key=key, Body=b"{}\n" * lines)
    return key


def judged(s3: Any, report: WorkloadReport, *read: str) -> MonitorRun:
    """A run that judged the first week of 1997 and read these objects."""
    window = WindowReport(
        start=datetime(1997, 1, 1, tzinfo=UTC),
        end=datetime(1997, 1, 8, tzinfo=UTC),
        decisions=len(read),
        input=SEEN,
        error=None,
    )
    found = MonitorReport(workload=NAMES.workload, as_of=window.end, model_version="1", unreadable=0, windows=(window,))
    paths = [key.removeprefix(f"{NAMES.workload}/") for key in read]
    manifest = [{"prefix": f"s3://{LAKE}/{NAMES.workload}/"}, *paths]
    s3.put_object(Bucket=LAKE, Key="manifest.json", Body=json.dumps(manifest).encode())
    return replace(report.monitor_runs[0], report=found, manifest_uri=f"s3://{LAKE}/manifest.json")


def test_what_every_run_read_or_may_still_read_is_no_limit(s3: Any, report: WorkloadReport) -> None:
    run = judged(s3, report, keep(s3, "1997-01-02"))
    keep(s3, "1997-01-08")
    assert find_unjudged(s3, NAMES, [run], is_whole=True) == ()
    assert find_unjudged(s3, NAMES, [], is_whole=True) == ()


def test_decisions_before_the_first_window(s3: Any, report: WorkloadReport) -> None:
    run = judged(s3, report, keep(s3, "1997-01-02"))
    keep(s3, "1994-06-01", lines=600)
    keep(s3, "1994-08-30", lines=78)
    (limit,) = find_unjudged(s3, NAMES, [run], is_whole=True)
    assert limit.sentence == (
        "old decisions are not judged: 678 decisions, 1994-06-01 to 1994-08-30: the monitors watch from 1997-01-01 on; "
        "the first run goes back at most 60 windows"
    )
    assert find_unjudged(s3, NAMES, [run], is_whole=False) == ()


def test_decisions_after_their_window_was_judged(s3: Any, report: WorkloadReport) -> None:
    run = judged(s3, report, keep(s3, "1997-01-02"))
    keep(s3, "1997-01-02", "later", lines=3)
    (limit,) = find_unjudged(s3, NAMES, [run], is_whole=True)
    assert limit.sentence.startswith("late decisions are not judged: 3 decisions, 1997-01-02 to 1997-01-02: ")
    gone = replace(run, manifest_uri=f"s3://{LAKE}/expired.json")
    assert find_unjudged(s3, NAMES, [gone], is_whole=True) == ()


def test_very_many_objects_are_counted_and_not_read(s3: Any, report: WorkloadReport) -> None:
    run = judged(s3, report)
    for number in range(MOST_READ + 1):
        keep(s3, "1994-06-01", str(number))
    (limit,) = find_unjudged(s3, NAMES, [run], is_whole=True)
    assert limit.why.startswith("301 objects with decisions, 1994-06-01 to 1994-06-01")
