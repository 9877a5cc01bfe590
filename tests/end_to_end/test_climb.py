"""A version answers copies until labels let it on; then the one before does, and late labels bring that one back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.messages.climb import TwoAnswers
from millrace.release.climb import differ
from millrace.state.climbing import Climbing
from millrace.state.holdings import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.reviews import ReviewQueue
from tests.electricity import (
    AGAINST_BASE_RATE,
    KNOWN,
    NAMES,
    SAMPLE,
    UNSCHEDULED,
    Electricity,
    live_electricity,
    sample,
)
from tests.end_to_end.callers import audited, meanwhile, status, typed

pytestmark = pytest.mark.night("by day sequences of accidents walk the phases, beside the version before too")

MORE, DAYS, DAY = 6_000, 8, 48
CHANGES = {
    **AGAINST_BASE_RATE,
    **UNSCHEDULED,
    "  phases: [live]\n": "  phases: [shadow, live]\n  shadow: {gain: 0.05, block_days: 0, limit_days: 30}\n"
    "  warm_hours: 336\n",
}
POLICY = "\npolicy:\n  automate: {confidence: 0.5}\n  review: {hours: 1000}\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """Version 1 is live: with nothing to be compared with it has answered no copies."""
    with live_electricity(tmp_path_factory.mktemp("climb"), added=POLICY, changes=CHANGES) as cloud:
        yield cloud


def ask(cloud: Electricity, call: str, rows: pa.Table) -> set[str]:
    """The versions that answer these rows."""
    return {one["model_version"] for one in cloud.predict(call, rows)}


def answered(cloud: Electricity, *, first: int, days: int = DAYS) -> list[TwoAnswers]:
    """The rows of some days that both versions have answered, as they lie in the lake."""
    for day in range(days):
        cloud.later(days=1)
        assert ask(cloud, f"{first}-{day}", sample(first + day * DAY, DAY)) == {cloud.champion().version}
    cloud.later(hours=3)
    s3, bucket = cloud.client("s3"), PLATFORM.bucket("lake")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="electricity/climbs/2/")["Contents"]
    keys = [one["Key"] for one in listed if one["Key"].endswith(".jsonl")]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    since = sample(first, 1)["timestamp"][0].as_py().replace(tzinfo=UTC)
    pairs = [TwoAnswers.model_validate_json(line) for body in bodies for line in body.splitlines()]
    found = [one for one in pairs if one.event_time >= since]
    assert len({one.id for one in found}) == len(found) == days * DAY
    return found


def label(cloud: Electricity, found: list[TwoAnswers], right: str) -> None:
    """The labels of the pairs that differ come; each says that this one of both was right."""
    differing = [one for one in found if differ(one)]
    assert len(differing) > 10
    times = [one.event_time.replace(tzinfo=None) for one in differing]
    rows = {"timestamp": times, "class": [getattr(one, right)["value"] for one in differing]}
    like = pq.read_schema(SAMPLE)
    cloud.drop(f"labels/{right}", pa.table(rows).cast(pa.schema([like.field("timestamp"), like.field("class")])))
    cloud.later(hours=3)


def test_labels_of_what_both_answer_otherwise_decide(cloud: Electricity) -> None:
    assert cloud.champion().version == "1"

    # The world changes in some hours. Version 2 has learnt it and answers copies; callers hear version 1 alone.
    came = sample(KNOWN, MORE)
    inside = pc.equal(pc.floor(pc.multiply(came["period"], 3.999)), 2.0)
    turned = pc.if_else(inside, pc.subtract(pa.scalar(1, came["class"].type), came["class"]), came["class"])
    cloud.move_clock(came["timestamp"][-1].as_py().replace(tzinfo=UTC))
    cloud.drop("training/changed", came.set_column(came.column_names.index("class"), "class", turned))
    typed("train")
    cloud.rest()
    assert status("2") == "shadow"
    found = answered(cloud, first=KNOWN + MORE)
    assert cloud.champion().version == "1"

    # People are asked for labels of what both answer otherwise, and see neither answer. They let version 2 go live.
    items = ReviewQueue(cloud.client("dynamodb"), NAMES).waiting(most=100, now=cloud.now())
    assert {(one.reason, one.output) for one in items} == {("labels_wanted", None)}
    label(cloud, found, "challenger")
    assert cloud.champion().version == "2"
    assert "better" in audited("phase.passed")[0]["because"]

    # Version 1 answers copies now. Late labels say that it was better: it is back, while callers ask on.
    standby = ReleasePointers(cloud.state).read().canary
    assert standby is not None
    assert (standby.version.version, standby.share) == ("1", 0.0)
    found, heard = answered(cloud, first=KNOWN + MORE + DAYS * DAY, days=13), set[str | None]()
    calls = count()
    with meanwhile(lambda: heard.update(ask(cloud, f"on-{next(calls)}", sample(KNOWN + MORE, 1))), pause_s=lambda: 0.2):
        label(cloud, found, "champion")
    assert (cloud.champion().version, heard) == ("1", {"1", "2"})
    (back,), (stopped,) = audited("release.rolled_back"), audited("phase.stopped")
    assert (back["by"], back["reason"], back["replaced"]) == ("judge_phase", stopped["because"], "2")
    assert (Leases(cloud.state).holdings(), Climbing.find(cloud.state)) == ([], None)
    assert ReleasePointers(cloud.state).read().canary is None
    assert NAMES.challenger not in str(cloud.client("sagemaker").list_endpoints()["Endpoints"])
