"""A version answers a share of the requests before it goes live: clean it goes on, broken it is out, no call fails.

All of it years after the machine's own time. The keys and jobs of its REST API live by that clock too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from millrace.state.climbing import Climbing
from millrace.state.holdings import Leases
from millrace.state.pointers import CanaryVersion, ReleasePointers
from tests.electricity import AGAINST_BASE_RATE, NAMES, UNSCHEDULED, Electricity, live_electricity
from tests.end_to_end.callers import audited, create_caller, declare_api, status, typed
from tests.registered import register, tell

pytestmark = pytest.mark.night(
    "by day trained versions of other kinds go live by a canary, and accidents walk the phases"
)
CLOCK = datetime.fromisoformat("2031-01-10T08:00:00+00:00")
"""Years after the machine's own time: what a function decides bears the time of the cloud, and no other."""
REQUESTS = 40
POLICY = """
policy:
  automate: {confidence: 0.98}
  review: {hours: 48, alarm_hours: 8}
jobs: {}
"""
CHANGES = {
    **AGAINST_BASE_RATE,
    **UNSCHEDULED,
    "  phases: [live]\n": f"  phases: [canary, live]\n  canary: {{share: 0.5, requests: {REQUESTS}, limit_days: 2}}\n",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """Version 1 is live: with nothing to be compared with it was no canary."""
    folder = tmp_path_factory.mktemp("canary")
    declare_api(folder)
    with live_electricity(folder, clock=CLOCK, changes=CHANGES, added=POLICY) as cloud:
        yield cloud


def canary(cloud: Electricity) -> CanaryVersion | None:
    return ReleasePointers(cloud.state).read().canary


def live(cloud: Electricity) -> str:
    return cloud.champion().version


def comes(cloud: Electricity, version: str) -> None:
    """A version is registered, and answers its share."""
    tell(cloud, NAMES, register(cloud, NAMES))
    cloud.rest()
    assert status(version) == "canary"
    cloud.move_clock(cloud.now() + timedelta(seconds=15))  # what functions have read of the pointers is older than that


def test_a_share_of_the_requests_decides(cloud: Electricity) -> None:
    assert (live(cloud), status("1")) == ("1", "live")

    # Half of the calls hear version 2, chosen by their ids; what they show lets it go live.
    comes(cloud, "2")
    said = cloud.answering("good", 2 * REQUESTS + 40)
    assert set(said) == {"1", "2"}
    assert said.count("2") >= REQUESTS
    cloud.later(minutes=16)
    assert (live(cloud), canary(cloud)) == ("2", None)
    assert "requests without a finding" in audited("phase.passed")[0]["because"]

    # Version 3 answers nothing: version 2 does in its place, and it is out.
    comes(cloud, "3")
    served = cloud.client("sagemaker").describe_endpoint(EndpointName=NAMES.challenger)["EndpointStatus"]
    assert served == "InService"
    cloud.client("sagemaker").delete_endpoint(EndpointName=NAMES.challenger)
    cloud.rest()
    assert set(cloud.answering("bad", 40)) == {"2"}
    cloud.later(minutes=16)
    assert (live(cloud), status("3"), canary(cloud)) == ("2", "refused", None)
    assert "requests failed, more than 0.02" in audited("phase.stopped")[0]["because"]

    # Nobody asks while version 4 would answer: no data is no pass.
    comes(cloud, "4")
    cloud.later(days=2, hours=1)
    assert (live(cloud), status("4"), canary(cloud)) == ("2", "refused", None)
    assert f"0 of {REQUESTS} requests" in audited("phase.stopped")[0]["because"]

    # While version 5 answers a share, version 1 is brought back: the canary ends at once.
    comes(cloud, "5")
    assert typed("rollback", "--reason", "bad on holidays", "--wait") is not None
    cloud.rest()
    assert (live(cloud), canary(cloud), status("5")) == ("1", None, "registered")
    assert (Leases(cloud.state).holdings(), Climbing.find(cloud.state)) == ([], None)


def test_keys_and_jobs_live_by_the_clock(cloud: Electricity) -> None:
    """A key is kept for a day; a decision is found by its id alone for a month."""
    caller, home = create_caller(cloud, NAMES), f"/{NAMES.workload}"

    def posts(what: str, rows: list[dict[str, Any]]) -> tuple[int, Any]:
        status, _, said = caller.send("POST", f"{home}/{what}", {"rows": rows}, **{"Idempotency-Key": "order-1"})
        return status, said

    def reads(what: str) -> Any:
        return caller.send("GET", f"{home}/{what}")[2]

    asked = cloud.last_day()
    _, first = posts("predictions", asked)
    name = first["predictions"][-1]["id"]
    _, job = posts("jobs", asked[:2])
    cloud.rest()
    assert reads(f"decisions/{name}")["id"] == name
    assert reads(f"jobs/{job['id']}")["status"] == "done"

    cloud.later(hours=23)
    assert (posts("predictions", asked), posts("predictions", asked[:1])[0]) == ((200, first), 422)

    cloud.later(hours=101)
    status, again = posts("predictions", asked[:1])
    assert (status, len(again["predictions"])) == (200, 1)
    assert reads(f"decisions/{name}")["id"] == name
    cloud.rest()
    status, other = posts("jobs", asked[2:5])
    assert status == 202, "a key may be used again"
    cloud.rest()
    kept = [len(reads(f"jobs/{one['id']}")["result"]["predictions"]) for one in (job, other)]
    assert kept == [2, 3], "and takes no earlier job's place"
