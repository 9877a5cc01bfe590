"""A workload without endpoints: its prediction function runs the versions, from the first one to a rollback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from millrace.console.environment import local_environment
from millrace.console.queries.live import lost_endpoint
from millrace.operations.alarms import ENDPOINT_ALARMS, SERVING
from millrace.state.pointers import ReleasePointers
from tests.electricity import AGAINST_BASE_RATE, DAY, KNOWN, NAMES, UNSCHEDULED, Electricity, live_electricity, sample
from tests.end_to_end.callers import audited, status, typed
from tests.registered import register, tell

REQUESTS = 40
CHANGES = {
    **AGAINST_BASE_RATE,
    **UNSCHEDULED,
    "  phases: [live]\n": f"  phases: [canary, live]\n  canary: {{share: 0.5, requests: {REQUESTS}, limit_days: 2}}\n"
    "  warm_hours: 24\n  host: function\n",
    "  max_instances: 4\n": "",
    "  invocations_per_instance: 1000   # per minute, the target of the autoscaling\n": "",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """Version 1 is live."""
    with live_electricity(tmp_path_factory.mktemp("host"), changes=CHANGES) as cloud:
        yield cloud


def comes(cloud: Electricity, version: str) -> None:
    tell(cloud, NAMES, register(cloud, NAMES))
    cloud.rest()
    cloud.move_clock(cloud.now() + timedelta(seconds=15))  # what functions have read of the pointers is older than that


def test_versions_go_live_and_back_without_an_endpoint(cloud: Electricity) -> None:
    assert (cloud.champion().version, status("1")) == ("1", "live")
    first = cloud.predict("first", sample(KNOWN, DAY))
    assert {(one["model_version"], one["fallback"]) for one in first} == {("1", False)}

    # A canary: half of the calls hear version 2, and copies are asked of it beside them. It goes live, version 1 warm.
    comes(cloud, "2")
    assert status("2") == "canary"
    said = cloud.answering("good", 2 * REQUESTS + 40)
    assert set(said) == {"1", "2"}
    cloud.later(minutes=16)
    assert cloud.champion().version == "2"
    passed = audited("phase.passed")[0]
    assert "requests without a finding" in passed["because"]
    assert passed["pairs"] > REQUESTS, "version 2 has answered copies of what version 1 answered"
    canary = ReleasePointers(cloud.state).read().canary
    assert canary is not None
    assert (canary.version.version, canary.share) == ("1", 0.0)
    again = cloud.predict("again", sample(KNOWN, DAY))
    assert {one["model_version"] for one in again} == {"2"}
    names = ("value", "confidence", "probability")
    assert [[one.get(name) for name in names] for one in again] == [[one.get(name) for name in names] for one in first]

    # Files are scored by a transform job, as with an endpoint.
    cloud.drop("scoring/day", sample(KNOWN, DAY).drop_columns(["class"]))
    delivered = [one for one in cloud.recorded() if one.source == "batch"]
    assert {one.model_version for one in delivered} == {"2"}
    assert len(delivered) == DAY

    # A person brings version 1 back.
    assert typed("rollback", "--reason", "bad on holidays", "--wait") is not None
    cloud.rest()
    cloud.move_clock(cloud.now() + timedelta(seconds=15))
    assert (cloud.champion().version, set(cloud.answering("back", 3))) == ("1", {"1"})

    # Somebody deletes its model, without which no file is scored.
    sagemaker, lost = cloud.client("sagemaker"), cloud.champion().model_name
    sagemaker.delete_model(ModelName=lost)
    assert [one["what"] for one in typed("restore")] == ["release of version 1"]
    cloud.rest()
    sagemaker.describe_model(ModelName=cloud.champion().model_name)

    # There never was an endpoint, and nobody misses one.
    assert cloud.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert lost_endpoint(local_environment(cloud), NAMES) == ""
    assert not cloud.raised() & {*ENDPOINT_ALARMS, SERVING}
    assert audited("release.failed") == []


def test_an_artefact_that_does_not_fit_is_no_release(cloud: Electricity) -> None:
    """A person may call the function for a version as a release does; a wrong digest is told, and nothing is kept."""
    champion = cloud.champion()
    call = {"version": "9", "model_data_url": champion.model_data_url, "model_digest": "0" * 64}
    asked = {"model": call, "body": json.dumps({"rows": [{}]})}
    answer = cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=json.dumps(asked))
    assert "digest" in json.load(answer["Payload"])["refused"]
