"""The decisions function of a workload with a policy opens what a person decides, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.decisions.record import from_line, to_line
from millrace.names import WorkloadNames
from millrace.state.reviews import ReviewQueue
from millrace.timestamps import parse_utc
from tests.functions.cold_start import NAMES, cold_starts, set_variables
from tests.state_table import create_table

EVENT = Path(__file__).resolve().parents[3] / "events" / "decisions_queue.json"
OWN = WorkloadNames(platform=NAMES.platform, workload="income")


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    set_variables(monkeypatch, names=OWN)
    with mock_aws(), cold_starts() as start:
        lake = NAMES.platform.bucket("lake")
        boto3.client("s3").create_bucket(Bucket=lake, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        create_table(boto3.client("dynamodb"), NAMES.platform.state_table)
        yield start("decisions")


def test_decisions_for_a_person_are_opened_at_the_time_of_their_message(write: Any) -> None:
    event = json.loads(EVENT.read_text())
    event["Records"] = event["Records"][:1]
    (record,) = event["Records"]
    known = from_line(record["body"].split("\n")[0])
    # An input that only looks like an action is none.
    odd = replace(known, id="d-0", input='{"note":"\\"action\\":\\"review\\""}', action="automated", reason="sure")
    found = [replace(known, id=f"d-{n}", action="review", reason=why) for n, why in ((1, "unsure"), (2, "held_out"))]
    record["body"] = "\n".join(map(to_line, [odd, *found]))
    for _ in range(2):
        assert write(event) == {"batchItemFailures": []}
    opened_at = parse_utc("2026-11-20T07:30:00Z")
    unsure, held_out = ReviewQueue(boto3.client("dynamodb"), OWN).waiting(most=9, now=opened_at)
    assert (unsure.id, unsure.output, unsure.confidence) == ("d-1", known.output, 0.75)
    assert (held_out.id, held_out.output, held_out.is_blind) == ("d-2", None, True)
    assert unsure.opened_at == opened_at
    assert unsure.expires_at - unsure.opened_at == timedelta(days=7)
    assert unsure.input == known.input
