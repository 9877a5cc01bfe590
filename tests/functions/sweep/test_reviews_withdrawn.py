"""The sweep asks nobody any more about a version that has left the phase `assisted`."""

import shutil
from datetime import timedelta

import pytest
import yaml

from millrace.decisions.review import ReviewItem
from millrace.state.climbing import Climbing
from millrace.state.reviews import ReviewQueue
from millrace.timestamps import parse_utc
from tests.audit_bucket import create_bucket
from tests.electricity import HOME

AS_OF = parse_utc("1997-06-01T07:00:00Z")
"""That of events/sweep.json."""


@pytest.fixture
def sweep(aws, load, event, tmp_path, monkeypatch):
    """The sweep of a workload with the phase."""
    folder = shutil.copytree(HOME, tmp_path / HOME.name)
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["rollout"]["phases"], document["policy"] = ["assisted", "live"], {"automate": {"confidence": 0.5}}
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    create_bucket(aws.s3, aws.names.platform.bucket("audit"))
    handler = load("sweep")
    return lambda: handler(event("sweep"))


def item(name, *, reason, version):
    return ReviewItem(
        id=name,
        reason=reason,
        priority=1,
        opened_at=AS_OF - timedelta(hours=2),
        event_time=AS_OF,
        expires_at=AS_OF + timedelta(days=7),
        key={"timestamp": AS_OF.isoformat()},
        input="{}",
        output=None,
        model_version=version,
        source="api",
    )


@pytest.mark.parametrize("phase", ["assisted", "canary", None])
def test_items_of_a_phase_that_has_ended_are_withdrawn(aws, sweep, phase):
    state, queue = aws.state, ReviewQueue(aws.dynamodb, aws.names)
    if phase:
        Climbing(execution="arn:release", version="3", phase=phase, since=AS_OF).put(state)
    for name, reason, version in (
        ("stopped", "assisted", "2"),
        ("blind", "assisted_blind", "2"),
        ("now", "assisted", "3"),
        ("label", "labels_wanted", "2"),
    ):
        queue.open(item(name, reason=reason, version=version))
    sweep()
    left = {one.id for one in queue.waiting(most=10, now=AS_OF)}
    assert left == ({"now", "label"} if phase == "assisted" else {"label"})
    assert queue.find(["stopped"])["stopped"].status == "withdrawn"
