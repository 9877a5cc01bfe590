"""A version is live and the one before stays warm: labels that come late bring that back, and nobody's call fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.messages.climb import TwoAnswers
from millrace.release.climb import differ
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.pointers import CanaryVersion, ReleasePointers
from tests.climbing import NAMES, NEVER, later, live, pairs, predict, shown, table, turned, types
from tests.electricity import REST_S, SAMPLE, changed_electricity, drop
from tests.end_to_end.callers import meanwhile
from tests.registered import register, tell

pytestmark = pytest.mark.night("by day sequences of accidents watch the live version beside the one before")

CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
KNOWN, MORE, DAYS, DAY, HOURS = 11_500, 6_000, 8, 48, 240
CHANGES = {
    "baseline: {kind: seasonal_naive, lag_hours: 24, margin: 0.01}": "baseline: {kind: base_rate, margin: 0.01}",
    "cron(0 6 1,15 * ? *)": NEVER,  # no monitor and no schedule trains in between
    "cron(0 7 1 1,7 ? *)": NEVER,
    "  phases: [live]\n": f"  phases: [live]\n  shadow: {{gain: 0.05, block_days: 0}}\n  warm_hours: {HOURS}\n",
}
PAUSE_S = 0.2


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Version 1 is live; nothing was before it, so nothing stays warm."""
    with changed_electricity(tmp_path_factory.mktemp("warm"), clock=CLOCK, changes=CHANGES) as cloud:
        drop(cloud, "training/known", pq.read_table(SAMPLE).slice(0, KNOWN))
        yield cloud


def trains(cloud: LocalCloud, version: str) -> None:
    """The world changes in some hours, and a version that has learnt it goes live."""
    came = pq.read_table(SAMPLE).slice(KNOWN, MORE)
    cloud.move_clock(came["timestamp"][-1].as_py().replace(tzinfo=UTC))
    cloud.wait(timeout_s=REST_S)
    drop(cloud, f"training/before-{version}", turned(came, quarter=2))
    types("train")
    cloud.wait(timeout_s=REST_S)


def asks(cloud: LocalCloud, version: str) -> list[TwoAnswers]:
    """The live version is asked day by day, and the one before answers copies."""
    for day in range(DAYS):
        predict(cloud, f"asked-{version}-{day}", pq.read_table(SAMPLE).slice(KNOWN + MORE + day * DAY, DAY))
        later(cloud, days=1)
    found = pairs(cloud, version)
    assert len({one.id for one in found}) == len(found) == DAYS * DAY
    return found


def label(cloud: LocalCloud, found: list[TwoAnswers]) -> None:
    """The labels of the pairs that differ come; each says that the version before was right."""
    differing = [one for one in found if differ(one)]
    assert len(differing) > 10
    rows = {
        "timestamp": [one.event_time.replace(tzinfo=None) for one in differing],
        "class": [one.champion["value"] for one in differing],
    }
    like = pq.read_schema(SAMPLE)
    drop(cloud, "labels/late", pa.table(rows).cast(pa.schema([like.field("timestamp"), like.field("class")])))


@contextmanager
def asked_all_the_time(cloud: LocalCloud) -> Iterator[list[dict[str, Any]]]:
    """What callers hear meanwhile."""
    row = pq.read_table(SAMPLE).slice(KNOWN + MORE, 1).drop_columns(["class"]).to_pylist()[0]
    payload = json.dumps({"rows": [row | {"timestamp": row["timestamp"].isoformat()}]})
    heard: list[dict[str, Any]] = []

    def ask() -> None:
        answer = json.load(cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=payload)["Payload"])
        heard.extend(answer.get("predictions", [answer]))

    with meanwhile(ask, pause_s=lambda: PAUSE_S):
        yield heard


def canary(cloud: LocalCloud) -> CanaryVersion | None:
    return ReleasePointers(table(cloud)).read().canary


def has_challenger(cloud: LocalCloud) -> bool:
    return NAMES.challenger in str(cloud.client("sagemaker").list_endpoints()["Endpoints"])


def audit(event: str) -> list[dict[str, Any]]:
    return [one["details"] for one in types("audit", "list") if one["event"] == event]


def nothing_is_held(cloud: LocalCloud) -> bool:
    held = Leases(table(cloud)).holdings(), Climbing.find(table(cloud)), canary(cloud)
    return held == ([], None, None) and not has_challenger(cloud)


def test_late_labels_bring_the_version_before_back(cloud: LocalCloud) -> None:
    assert live(cloud) == "1"
    assert nothing_is_held(cloud)

    # Version 2 is live, and version 1 answers copies.
    trains(cloud, "2")
    assert live(cloud) == "2"
    assert has_challenger(cloud)
    standby = canary(cloud)
    assert standby is not None
    assert (standby.version.version, standby.share) == ("1", 0.0)
    found = asks(cloud, "2")
    assert "no label has come" in shown("2")["climb"]["looks"][-1]["because"]

    # Labels come late and say that it is worse: it goes by itself, while callers ask on.
    with asked_all_the_time(cloud) as heard:
        label(cloud, found)
        later(cloud, hours=3)
        cloud.wait(timeout_s=REST_S)
    assert live(cloud) == "1"
    assert {one["fallback"] for one in heard} == {False}
    assert {one["model_version"] for one in heard} == {"1", "2"}
    (stopped,) = audit("phase.stopped")
    assert (stopped["version"], stopped["champion"], stopped["phase"]) == ("2", "1", "live")
    (back,) = audit("release.rolled_back")
    assert (back["by"], back["reason"], back["replaced"]) == ("judge_phase", stopped["because"], "2")
    assert "worse by" in stopped["because"]
    assert audit("release.failed") == []
    assert nothing_is_held(cloud)

    # No label comes for version 3: it stays live, and that is told.
    tell(cloud, NAMES, register(cloud, NAMES))
    cloud.wait(timeout_s=REST_S)
    assert (live(cloud), has_challenger(cloud)) == ("3", True)
    later(cloud, hours=HOURS + 3)
    assert live(cloud) == "3"
    (passed,) = audit("phase.passed")
    assert "no labels decided it" in passed["because"]
    assert nothing_is_held(cloud)

    # A newer version takes the endpoint over, and a person's rollback too: that of version 4 ends at once.
    tell(cloud, NAMES, register(cloud, NAMES))
    cloud.wait(timeout_s=REST_S)
    tell(cloud, NAMES, register(cloud, NAMES))
    cloud.wait(timeout_s=REST_S)
    assert live(cloud) == "5"
    standby = canary(cloud)
    assert standby is not None
    assert standby.version.version == "4"
    with asked_all_the_time(cloud) as heard:
        types("rollback", "--reason", "bad on holidays", "--wait")
        cloud.wait(timeout_s=REST_S)
    assert live(cloud) == "4"
    assert {one["fallback"] for one in heard} == {False}
    later(cloud, hours=3)  # the watches that were overtaken find that out
    assert live(cloud) == "4"
    assert audit("release.failed") == []
    assert nothing_is_held(cloud)
