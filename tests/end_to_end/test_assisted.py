"""People decide rows beside a version's answers before it goes live: what they say lets it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.actions.reviews import Reviewer
from millrace.console.cli.app import app
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.console.queries.live import read_climbs
from millrace.decisions.review import ReviewItem
from millrace.messages.climb import TwoAnswers
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from tests.climbing import NAMES, NEVER, later, live, pairs, predict, shown, table, turned, types
from tests.electricity import SAMPLE, changed_electricity, drop

pytestmark = pytest.mark.night("by day sequences of accidents walk the phase, and people answer the queue of reviews")

CLOCK = datetime.fromisoformat("1997-06-14T08:00:00+00:00")
KNOWN, MORE = 11_500, 6_000
A_DAY = 40
CHANGES = {
    "baseline: {kind: seasonal_naive, lag_hours: 24, margin: 0.01}": "baseline: {kind: base_rate, margin: 0.01}",
    "cron(0 6 1,15 * ? *)": NEVER,  # no monitor and no schedule trains in between
    "cron(0 7 1 1,7 ? *)": NEVER,
    "  phases: [live]\n": "  phases: [assisted, live]\n"
    f"  assisted: {{reviews_a_day: {A_DAY}, least_agreement: 0.6, limit_days: 20}}\n",
}
POLICY = "\npolicy:\n  automate: {confidence: 0.8}\n  review: {hours: 1000}\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Version 1 is live: with nothing to be compared with it was shown to nobody."""
    with changed_electricity(tmp_path_factory.mktemp("assisted"), clock=CLOCK, added=POLICY, changes=CHANGES) as cloud:
        drop(cloud, "training/known", pq.read_table(SAMPLE).slice(0, KNOWN))
        yield cloud


def asks(cloud: LocalCloud, *, days: int) -> None:
    """The live version is asked about each day that is over, and two hours later people are."""
    rows = pq.read_table(SAMPLE)
    for _ in range(days):
        later(cloud, days=1)
        now = cloud.now().replace(tzinfo=None)
        since = pc.and_(pc.greater(rows["timestamp"], now - timedelta(days=1)), pc.less_equal(rows["timestamp"], now))
        predict(cloud, f"asked-{now:%m-%d}", rows.filter(since))
        later(cloud, hours=3)


def trains(cloud: LocalCloud, version: str, *, at: int, rows: int = 500) -> None:
    drop(cloud, f"training/before-{version}", turned(pq.read_table(SAMPLE).slice(at, rows), quarter=2))
    types("train")
    cloud.wait(timeout_s=300.0)
    assert shown(version)["status"] == "assisted"


def people_say(cloud: LocalCloud, version: str, of: Callable[[TwoAnswers], int]) -> list[ReviewItem]:
    """People decide all rows of this version that wait, each as `of` says."""
    reviewer = Reviewer.of(local_environment(cloud), NAMES, source="terminal")
    known, done = {one.id: one for one in pairs(cloud, version)}, []
    while held := reviewer.next():
        if held.item.is_challengers and held.item.model_version == version:
            done.append(reviewer.answer(held, of(known[held.item.id]), seconds=4))
        else:
            reviewer.skip(held)
    reviewer.finish()
    return done


def audited(event: str) -> list[dict[str, Any]]:
    return [one for one in types("audit", "list") if one["event"] == event]


def test_people_let_a_version_on(cloud: LocalCloud) -> None:
    assert (live(cloud), shown("1")["status"]) == ("1", "live")

    # Version 2: people are asked about forty rows a day, half of them without its answer; callers hear version 1.
    trains(cloud, "2", at=KNOWN, rows=MORE)
    asks(cloud, days=2)
    assert live(cloud) == "1"
    told = CliRunner().invoke(app, ["versions"]).output
    assert "0 of 0 blind reviews agree" in told
    listed = [one for one in types("review", "--list") if one["reason"].startswith("assisted")]
    assert len(listed) == 2 * A_DAY
    assert {one["version"] for one in listed} == {"2"}
    blind = [one for one in listed if one["reason"] == "assisted_blind"]
    assert 0.3 * len(listed) < len(blind) < 0.7 * len(listed)
    assert all(not one["answer"] for one in blind)
    # They agree with it: half blind, and it goes live by their word.
    done = people_say(cloud, "2", lambda pair: int(pair.challenger["value"]))
    assert len(done) == len(listed)
    later(cloud, hours=3)
    assert (live(cloud), shown("2")["status"]) == ("2", "live")
    (passed,) = audited("phase.passed")
    assert passed["details"]["because"] == f"{len(blind)} of {len(blind)} blind reviews agree, more than 0.6"
    assert passed["details"]["labels"] == len(listed)
    # Who sees its answer agrees as often here, and the lake has each answer.
    (climb,) = read_climbs(cloud.client("s3"), NAMES, "2")["2"]
    assert {one.agreed for one in climb.asked} == {True}
    assert Leases(table(cloud)).holdings() == []
    assert Climbing.find(table(cloud)) is None
