"""A version answers copies before it goes live: labels let it on, without any it is refused, a rollback ends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.messages.climb import TwoAnswers
from millrace.release.climb import differ
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.reviews import ReviewQueue
from tests.climbing import NAMES, NEVER, later, live, pairs, predict, shown, table, turned, types
from tests.electricity import REST_S, SAMPLE, changed_electricity, drop

pytestmark = pytest.mark.night(
    "by day sequences of accidents walk the phase, and late labels turn the floor's version around"
)

CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
KNOWN, MORE, DAYS, DAY = 11_500, 6_000, 8, 48
CHANGES = {
    "baseline: {kind: seasonal_naive, lag_hours: 24, margin: 0.01}": "baseline: {kind: base_rate, margin: 0.01}",
    "cron(0 6 1,15 * ? *)": NEVER,  # no monitor and no schedule trains in between
    "cron(0 7 1 1,7 ? *)": NEVER,
    "  phases: [live]\n": "  phases: [shadow, live]\n  shadow: {gain: 0.05, block_days: 0, limit_days: 30}\n",
}

POLICY = "\npolicy:\n  automate: {confidence: 0.5}\n  review: {hours: 1000}\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Version 1 is live: with nothing to be compared with it has answered no copies."""
    with changed_electricity(tmp_path_factory.mktemp("shadow"), clock=CLOCK, added=POLICY, changes=CHANGES) as cloud:
        drop(cloud, "training/known", pq.read_table(SAMPLE).slice(0, KNOWN))
        yield cloud


def trains(cloud: LocalCloud, version: str, *, known: int, rows: int) -> None:
    """The world changes in some hours, and a version that has learnt it answers copies."""
    came = pq.read_table(SAMPLE).slice(known, rows)
    if (last := came["timestamp"][-1].as_py().replace(tzinfo=UTC)) > cloud.now():
        cloud.move_clock(last)
        cloud.wait(timeout_s=REST_S)
    drop(cloud, f"training/before-{version}", turned(came, quarter=2))
    types("train")
    cloud.wait(timeout_s=REST_S)
    assert shown(version)["status"] == "shadow"


def climbs(cloud: LocalCloud, version: str) -> list[TwoAnswers]:
    """The live version is asked day by day, and the other one answers the same rows."""
    trains(cloud, version, known=KNOWN, rows=MORE)
    for day in range(DAYS):
        later(cloud, days=1)
        predict(cloud, f"asked-{version}-{day}", pq.read_table(SAMPLE).slice(KNOWN + MORE + day * DAY, DAY))
    later(cloud, hours=3)
    found = pairs(cloud, version)
    assert len({one.id for one in found}) == len(found) == DAYS * DAY
    return found


def label(cloud: LocalCloud, version: str, found: list[TwoAnswers]) -> None:
    """The labels of the pairs that differ come; each says that the challenger was right."""
    differing = [one for one in found if differ(one)]
    assert len(differing) > 10
    rows = {
        "timestamp": [one.event_time.replace(tzinfo=None) for one in differing],
        "class": [one.challenger["value"] for one in differing],
    }
    like = pq.read_schema(SAMPLE)
    fields = [like.field("timestamp"), like.field("class")]
    drop(cloud, f"labels/of-{version}", pa.table(rows).cast(pa.schema(fields)))
    later(cloud, hours=3)


def test_labels_of_what_both_answer_otherwise_decide(cloud: LocalCloud) -> None:
    assert (live(cloud), shown("1")["status"]) == ("1", "live")

    # Version 2 answers copies, and callers hear version 1 alone.
    found = climbs(cloud, "2")
    assert live(cloud) == "1"
    told = CliRunner().invoke(app, ["versions"]).output
    assert "no label has come" in told
    assert f"of {len(found)} answers differ from version 1's" in told
    places = {one["id"] for one in shown("2")["climb"]["places"]}
    assert 0 < len(places) <= shown("2")["climb"]["plan"]["horizon"]
    # People are asked for these labels, and see neither answer.
    items = ReviewQueue(cloud.client("dynamodb"), NAMES).waiting(most=100, now=cloud.now())
    assert {one.id for one in items} == places
    assert {(one.reason, one.output) for one in items} == {("labels_wanted", None)}
    label(cloud, "2", found)
    assert live(cloud) == "2"
    (passed,) = [one for one in types("audit", "list") if one["event"] == "phase.passed"]
    assert "better" in passed["details"]["because"]

    # No label comes for version 3: no data is no pass, and its time ends.
    trains(cloud, "3", known=KNOWN + MORE, rows=500)
    later(cloud, days=31)
    assert (live(cloud), shown("3")["status"]) == ("2", "refused")
    (stopped,) = [one for one in types("audit", "list") if one["event"] == "phase.stopped"]
    assert "ends after 3" in stopped["details"]["because"]
    assert NAMES.challenger not in str(cloud.client("sagemaker").list_endpoints()["Endpoints"])

    # It is released once more, and a person ends its phase.
    assert "the shadow refused it" in shown("3")["decision"]
    types("release", "3", "--reason", "its time was short")
    cloud.wait(timeout_s=REST_S)
    assert shown("3")["status"] == "shadow"
    types("refuse", "3", "--reason", "its labels are swapped")
    later(cloud, hours=3)
    assert (live(cloud), shown("3")["status"]) == ("2", "refused")
    assert shown("3")["decision"].endswith(": its labels are swapped")
    assert NAMES.challenger not in str(cloud.client("sagemaker").list_endpoints()["Endpoints"])

    # While version 4 answers copies, version 2 turns out to be bad: version 1 is back at once.
    trains(cloud, "4", known=KNOWN + MORE + 500, rows=500)
    assert types("rollback", "--reason", "bad on holidays", "--wait") is not None
    cloud.wait(timeout_s=REST_S)
    assert live(cloud) == "1"
    assert shown("4")["status"] == "registered"
    assert Leases(table(cloud)).holdings() == []
    assert Climbing.find(table(cloud)) is None
