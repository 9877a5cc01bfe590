"""A look at a version that answers copies: whatever its endpoint does, it only shows in what is known of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from millrace.decisions.record import Decision, object_key, to_line
from millrace.release.registry import REJECTED, Candidate, Registry
from millrace.state.climbing import ClimbingVersion
from millrace.state.table import StateTable
from tests.challenger import answering

DAY = datetime(1997, 1, 2, tzinfo=UTC)
CELLS = {"nswprice": 0.05, "nswdemand": 0.4, "vicprice": 0.003, "vicdemand": 0.4, "transfer": 0.4, "period": 0.5}


class Challenger:
    """What the endpoint answers, and what it was asked."""

    def __init__(self):
        self.version, self.asked, self.broken = "2", [], False


@pytest.fixture
def challenger(monkeypatch):
    state = Challenger()

    def answer(_path, body):
        rows = json.loads(body)["rows"]
        if state.broken:
            return 500, b"{}"
        state.asked += rows
        said = [{"value": 1, "probability": 0.9, "confidence": 0.9}] * len(rows)
        return 200, json.dumps({"model_version": state.version, "predictions": said}).encode()

    with answering(monkeypatch, answer):
        yield state


@pytest.fixture
def judge(aws, challenger, load):
    """The function, with a version 2 in the registry and the challenger that it asks."""
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    for run in ("first", "second"):
        made = {"image": "i", "model_data_url": "s3://b/m", "evaluation_uri": "s3://b/e", "metadata": {}}
        registry.register(Candidate(run=run, instances=("ml.m5.large",), **made))
    return load("judge_phase"), challenger


def decisions(aws, count, *, version="1", at=DAY + timedelta(hours=13), name="r", **acted):
    lines = []
    for number in range(count):
        time = DAY + number * timedelta(minutes=30)
        lines.append(
            to_line(
                Decision(
                    id=f"{name}-{number}",
                    workload="electricity",
                    event_time=time,
                    key={"timestamp": time.isoformat()},
                    input=json.dumps(CELLS | {"timestamp": time.isoformat()}),
                    output={"value": 0, "probability": 0.2, "confidence": 0.8},
                    model_version=version,
                    phase="live",
                    fallback=version is None,
                    latency_ms=3.0,
                    inferred_at=at,
                    **acted,
                )
            )
        )
    ids = [f"{name}-{number}" for number in range(count)]
    aws.put(
        f"s3://{aws.names.platform.bucket('lake')}/{object_key('electricity', DAY.date(), ids)}",
        "\n".join(lines) + "\n",
    )


def climb(aws):
    body = aws.s3.get_object(
        Bucket=aws.names.platform.bucket("lake"), Key="electricity/climbs/2/2f61d0a5-release/shadow/climb.json"
    )["Body"].read()
    return json.loads(body)


def test_each_decision_is_copied_once(aws, judge, event):
    handler, challenger = judge
    handler(event("judge_phase"))
    decisions(aws, 30)
    decisions(aws, 5, version=None, name="fallback")
    decisions(aws, 5, at=DAY, name="before")
    decisions(aws, 5, name="shown", action="review", reason="unsure")
    for hour in (14, 15):
        answer = handler(event("judge_phase") | {"at": f"1997-01-02T{hour}:00:00Z"})
    assert (len(challenger.asked), answer["answer"]) == (30, "not_yet")
    assert (climb(aws)["looks"][-1]["pairs"], climb(aws)["looks"][-1]["differing"]) == (30, 30)
    found = ClimbingVersion(StateTable(aws.dynamodb, aws.names)).read()
    assert (found.version, found.execution) == ("2", event("judge_phase")["execution"])


@pytest.mark.parametrize("fault", ["broken", "another version"])
def test_an_endpoint_that_does_not_answer_is_only_missing(aws, judge, event, fault):
    handler, challenger = judge
    handler(event("judge_phase"))
    decisions(aws, 30)
    challenger.broken, challenger.version = fault == "broken", "1" if fault == "another version" else "2"
    answer = handler(event("judge_phase") | {"at": "1997-01-02T14:00:00Z"})
    assert (answer["answer"], climb(aws)["failed"]) == ("not_yet", 30)
    challenger.broken, challenger.version = False, "2"
    handler(event("judge_phase") | {"at": "1997-01-02T15:00:00Z"})
    assert climb(aws)["looks"][-1]["pairs"] == 30


def test_its_time_ends_and_it_is_refused_once(aws, judge, event):
    handler, _ = judge
    handler(event("judge_phase"))
    late = event("judge_phase") | {"at": "1997-02-20T12:00:00Z"}
    answer = handler(late)
    assert (answer["answer"], handler(late)) == ("stop", answer)
    package = Registry(aws.sagemaker, group=aws.names.package_group).describe(aws.names.package_arn("2"))
    assert (package.approval, package.said) == (REJECTED, f"shadow: {answer['because']}")
    (kept,) = aws.audit()
    assert (kept["event"], kept["details"]["because"], kept["details"]["labels"]) == (
        "phase.stopped",
        answer["because"],
        0,
    )
    assert ClimbingVersion(StateTable(aws.dynamodb, aws.names)).read() is None


def test_a_person_may_refuse_it_meanwhile(aws, judge, event):
    handler, _ = judge
    handler(event("judge_phase"))
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    registry.refuse(registry.describe(aws.names.package_arn("2")), reason="wrong wards")
    answer = handler(event("judge_phase") | {"at": "1997-01-02T13:00:00Z"})
    assert answer["answer"] == "stop"
    assert answer["because"].endswith("has refused it: wrong wards")
