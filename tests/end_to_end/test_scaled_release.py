"""While callers ask, the deployed policy adds and removes instances, and a canary and a rollback run: no call fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.contract.kinds import as_json
from millrace.names import VARIANT
from tests.climbing import NAMES, NEVER, live, shown
from tests.electricity import REST_S, SAMPLE, changed_electricity, drop
from tests.end_to_end.callers import Caller, create_caller, declare_api, meanwhile, recorded
from tests.localcloud.waiting import until
from tests.registered import register, tell

pytestmark = pytest.mark.night(
    "by day a release is walked on two instances while callers ask, and the local cloud scales by itself"
)

CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
KNOWN, TARGET, MOST, REQUESTS, CALLERS = 11_500, 12, 3, 200, 3
BUSY, QUIET = 3 * TARGET, 3
"""Requests of a minute, at least. Half of them are a canary's, which its endpoint answers."""
PAUSE_S = {BUSY: 0.1, QUIET: 1.5}
"""How long a caller waits before it asks again: a minute of the cloud's clock takes some seconds of a busy machine."""
MINUTES_OUT, MINUTES_IN = 4, 15
"""After so many busy minutes the policy adds an instance, after so many quiet ones it removes one."""
CHANGES = {
    "baseline: {kind: seasonal_naive, lag_hours: 24, margin: 0.01}": "baseline: {kind: base_rate, margin: 0.01}",
    "cron(0 6 1,15 * ? *)": NEVER,  # no monitor and no schedule trains in between
    "cron(0 7 1 1,7 ? *)": NEVER,
    "max_p99_ms: 50": "max_p99_ms: 1000",  # a busy machine is not a bad version
    "max_instances: 4": f"max_instances: {MOST}",
    "invocations_per_instance: 1000": f"invocations_per_instance: {TARGET}",
    "  phases: [live]\n": f"  phases: [canary, live]\n  canary: {{share: 0.5, requests: {REQUESTS}}}\n",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Version 1 is live on one instance, behind the REST API."""
    folder = tmp_path_factory.mktemp("scaled")
    declare_api(folder)
    with changed_electricity(folder, clock=CLOCK, changes=CHANGES) as cloud:
        drop(cloud, "training/known", pq.read_table(SAMPLE).slice(0, KNOWN))
        yield cloud


@dataclass(kw_only=True)
class Load:
    """Programs that ask all the time, and what each call was told: a version, or what was wrong."""

    cloud: LocalCloud
    caller: Caller
    told: list[str] = field(default_factory=list)
    pause_s: float = PAUSE_S[BUSY]
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def asking(self) -> Iterator[None]:
        known = pq.read_table(SAMPLE, filters=[("timestamp", "<=", CLOCK.replace(tzinfo=None))])
        (row,) = known.slice(len(known) - 1).drop_columns(["class"]).to_pylist()
        cells = {name: as_json(cell) for name, cell in row.items()}

        def ask() -> None:
            body = {"id": f"load-{next(self._numbers)}", "rows": [cells]}
            try:
                status, _, said = self.caller.send("POST", f"/{NAMES.workload}/predictions", body)
                (one,) = said["predictions"]
                self.told.append(
                    "fallback" if one["fallback"] else one["model_version"] if status == 200 else str(said)
                )
            except Exception as error:
                self.told.append(f"{type(error).__name__}: {error}")

        with meanwhile(ask, pause_s=lambda: self.pause_s, callers=CALLERS):
            yield

    def answers(self, more: int) -> None:
        """Wait for so many answers more."""
        enough = len(self.told) + more
        until(lambda: len(self.told) >= enough)

    def minutes(self, number: int, requests: int) -> None:
        """Let so many minutes of the cloud's clock pass, each with at least so many requests."""
        self.pause_s = PAUSE_S[requests]
        for _ in range(number):
            self.answers(requests)
            self.next_minute()

    def quiet_until(self, condition: Callable[[], bool]) -> None:
        """Let quiet minutes pass until this is so: a minute that lasts as long as on a clock on the wall is not one."""
        for _ in range(4 * MINUTES_IN):
            self.minutes(1, QUIET)
            if condition():
                return
        raise AssertionError("not within four times as many minutes as the policy says")

    def next_minute(self) -> None:
        start = self.cloud.now().replace(second=0, microsecond=0)
        self.cloud.move_clock(start + timedelta(seconds=61))

    def roll_back(self) -> None:
        states, why = self.cloud.client("stepfunctions"), {"reason": "bad on holidays", "who": "ann"}
        arn = NAMES.machine_arn("release")
        states.start_execution(stateMachineArn=arn, input=json.dumps({"rollback": why}))


def instances(cloud: LocalCloud) -> int:
    told = cloud.client("sagemaker").describe_endpoint(EndpointName=NAMES.endpoint)
    return int(told["ProductionVariants"][0]["CurrentInstanceCount"])


def release(cloud: LocalCloud) -> dict[str, Any]:
    """What describe_execution says of the newest release."""
    states = cloud.client("stepfunctions")
    newest = states.list_executions(stateMachineArn=NAMES.machine_arn("release"))["executions"][0]
    found: dict[str, Any] = states.describe_execution(executionArn=newest["executionArn"])
    return found


def ends(cloud: LocalCloud) -> dict[str, Any]:
    """The newest release, when it has ended."""
    until(lambda: release(cloud)["status"] != "RUNNING", REST_S)
    return release(cloud)


def scaled(cloud: LocalCloud, during: dict[str, Any]) -> list[int]:
    """To how many instances the policy has scaled while this execution ran, in the order of time."""
    told = cloud.client("application-autoscaling").describe_scaling_activities(
        ServiceNamespace="sagemaker", ResourceId=f"endpoint/{NAMES.endpoint}/variant/{VARIANT}"
    )["ScalingActivities"]
    policy = f"triggered policy {NAMES.prefix}-invocations"
    found = [one for one in told if during["startDate"] <= one["StartTime"] <= during["stopDate"]]
    assert all(one["Cause"].endswith(policy) for one in found), found
    return [int(one["Description"].rstrip(".").rpartition(" ")[2]) for one in reversed(found)]


def test_no_call_fails_while_instances_come_and_go_and_versions_change(cloud: LocalCloud) -> None:
    load = Load(cloud=cloud, caller=create_caller(cloud, NAMES))
    with load.asking():
        # Version 2 answers half of the calls. Instances of version 1 are added, removed and added meanwhile.
        tell(cloud, NAMES, register(cloud, NAMES))
        until(lambda: "2" in load.told)
        load.minutes(MINUTES_OUT, BUSY)
        until(lambda: instances(cloud) > 1)
        load.quiet_until(lambda: instances(cloud) == 1)
        assert (live(cloud), shown("2")["status"]) == ("1", "canary")
        load.minutes(MINUTES_OUT, BUSY)
        load.quiet_until(lambda: release(cloud)["status"] != "RUNNING")
        canary = release(cloud)
        assert (canary["status"], live(cloud)) == ("SUCCEEDED", "2")

        # Version 1 is brought back by the phase `live` alone, after two busy minutes. The third has hardly a request
        # before the rollback has begun, so what adds an instance comes while it runs.
        load.minutes(1, BUSY)
        load.answers(BUSY)
        load.pause_s = PAUSE_S[QUIET]
        load.next_minute()
        load.roll_back()
        load.minutes(MINUTES_OUT, BUSY)
        rollback = ends(cloud)
        assert (rollback["status"], live(cloud)) == ("SUCCEEDED", "1")
    assert set(load.told) == {"1", "2"}
    out, back, again, *_ = scaled(cloud, canary)
    assert (out > 1, back, again > 1) == (True, 1, True)
    assert max(scaled(cloud, rollback)) > 1

    # The live version has answered in the canary's place nowhere, and each call has become one decision.
    cloud.wait(timeout_s=REST_S)
    kept = recorded(cloud, NAMES)
    assert {one.model_version for one in kept if one.phase == "canary"} == {"2"}
    assert len(kept) == len(load.told)
