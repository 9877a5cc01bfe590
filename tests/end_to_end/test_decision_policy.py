"""A workload with a policy: a version goes live with its threshold, answers act or go to a person, a pause holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.plan import Declared
from millrace.console.queries.policy_trial import try_policy
from millrace.console.queries.replay import archived
from millrace.decisions.standing import CACHED_S
from millrace.decisions.store import LocatedDecision, read_days
from millrace.state.versions import KeptPromise
from millrace.workload.load import workloads_folder
from tests.electricity import CLOCK, KNOWN, NAMES, Electricity, live_electricity, sample
from tests.end_to_end.callers import typed
from tests.localcloud.waiting import until

ASKED = 200
WEEK = 7 * 48
"""The rows of a window."""
POLICY = """
policy:
  automate: {promised_error: 0.1}
  review_above: {column: nswdemand, bound: 0.36}
  unlike_training: 0.01
  held_out: 0.1
"""

TWO = {"  max_runtime_minutes:": "  instances: 2\n  max_runtime_minutes:"}
"""Two instances train together."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    with live_electricity(tmp_path_factory.mktemp("policy"), added=POLICY, changes=TWO) as cloud:
        yield cloud


def ask(cloud: Electricity, call: str, count: int = ASKED) -> list[dict[str, Any]]:
    return cloud.predict(call, sample(KNOWN, count))


def test_two_instances_have_trained_what_is_live(cloud: Electricity) -> None:
    sagemaker = cloud.client("sagemaker")
    [job] = sagemaker.list_training_jobs(StatusEquals="Completed")["TrainingJobSummaries"]
    trained = sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
    assert trained["ResourceConfig"]["InstanceCount"] == 2


def test_sure_answers_act_and_the_others_go_to_a_person(cloud: Electricity) -> None:
    live = cloud.champion()
    assert live.promised_error == "0.1"
    threshold = float(live.automate_from)
    said = ask(cloud, "first")
    reasons = Counter((one["action"], one["reason"]) for one in said)
    assert min(reasons["automated", "sure"], reasons["review", "unsure"], reasons["review", "above_bound"]) > 0
    assert 5 <= reasons["review", "held_out"] <= 40
    assert reasons["review", "unlike"] < ASKED / 8
    for one in said:
        assert (one["value"] is None) is (one["reason"] == "held_out")
        if one["reason"] in ("sure", "unsure"):
            assert (one["confidence"] >= threshold) is (one["reason"] == "sure")
    cloud.rest()
    stored = {one.id: one for one in cloud.recorded()}
    assert {name: (one.action, one.reason) for name, one in stored.items()} == {
        one["id"]: (one["action"], one["reason"]) for one in said
    }
    assert all(one.value is not None for one in stored.values()), "a held-out answer is kept for the monitors"


def test_the_decisions_of_files_and_requests_are_answered_again(cloud: Electricity) -> None:
    cloud.drop("scoring/asked", sample(KNOWN, ASKED).drop_columns(["class"]))
    found = cloud.recorded()
    assert all((one.value is None) is (one.reason == "held_out") for one in found if one.source == "batch")
    # A decision for each way and reason, answered again: the same bits, and by the policy that held the same action.
    some = {(one.source, one.reason): one for one in found if one.value is not None}
    assert {("api", "held_out"), ("api", "sure"), ("batch", "sure"), ("batch", "unsure")} <= some.keys()
    assert {reason for _, reason in some} >= {"above_bound"}
    with archived(local_environment(cloud), NAMES, "1") as version:
        again = version.replay([LocatedDecision(uri="", decision=one) for one in some.values()])
    assert [one.differences for one in again] == [()] * len(some)
    assert [one.action_again for one in again] == [f"{one.action}: {one.reason}" for one in some.values()]
    assert all("likeness" in one.kept for one in again)


def test_a_row_unlike_the_training_rows_goes_to_a_person_however_it_comes(cloud: Electricity) -> None:
    """Each cell is one that the contract takes; together they are as no training row is."""
    row = sample(KNOWN, 1).to_pylist()[0]
    odd = row | {"nswprice": 1.0, "vicprice": 1.0, "nswdemand": 0.0, "vicdemand": 1.0, "transfer": 0.0}
    rows = pa.Table.from_pylist([odd | {"timestamp": row["timestamp"] + timedelta(minutes=at)} for at in range(8)])
    assert {one["reason"] for one in cloud.predict("odd", rows)} - {"held_out"} == {"unlike"}
    cloud.drop("scoring/odd", rows.slice(0, 1).drop_columns(["class"]))
    s3, lake = cloud.client("s3"), PLATFORM.bucket("lake")
    days = [row["timestamp"].date()]
    found = read_days(s3, lake, NAMES.workload, days).decisions
    odd_ones = [one for one in found if '"nswprice":1.0' in one.input and one.reason != "held_out"]
    assert {one.source for one in odd_ones} >= {"api"}
    assert all(one.reason == "unlike" and one.watched["likeness"] < 0.01 for one in odd_ones)


def test_a_pause_is_seen_and_recorded(cloud: Electricity) -> None:
    def reasons(call: str) -> set[str]:
        cloud.move_clock(cloud.now() + timedelta(seconds=CACHED_S + 1))  # what was read of the switch is older
        return {one["reason"] for one in ask(cloud, call, 20)} - {"held_out"}

    assert typed("automate", "--pause", "--reason", "complaints")["paused"] is True
    assert reasons("paused") == {"paused"}
    assert "complaints" in typed("status")[0]["automated"]
    assert typed("automate", "--resume")["paused"] is False
    assert "paused" not in reasons("resumed")
    assert [one["event"] for one in typed("audit", "list", "--limit", "2")] == [
        "automation.resumed",
        "automation.paused",
    ]


def test_late_labels_move_the_confidence_from_which_answers_act(cloud: Electricity) -> None:
    """A week of answers gets its labels by a file; the monitor, by its schedule, learns from them."""
    said = ask(cloud, "week", WEEK + 48)
    cloud.drop("labels/week", sample(KNOWN, WEEK + 48).select(["timestamp", "class"]))
    cloud.go_to(CLOCK + timedelta(days=15))
    live = cloud.champion()
    kept = KeptPromise.find(cloud.state, live.version)
    assert kept is not None
    assert kept.threshold != float(live.automate_from)
    assert typed("status")[0]["automated"] == f"from a confidence of {kept.threshold:.3f} on"
    (moved,) = [one for one in typed("audit", "list") if one["event"] == "automation.moved"]
    assert moved["details"]["threshold"] == kept.threshold
    assert moved["details"]["learnt"] > WEEK / 2

    def acts() -> bool:
        later = [one for one in ask(cloud, "later", 20) if one["reason"] in ("sure", "unsure")]
        return all((one["confidence"] >= kept.threshold) is (one["reason"] == "sure") for one in later)

    until(acts)
    edited = Declared.read(workloads_folder() / NAMES.workload)
    tried = try_policy(local_environment(cloud), NAMES, live, edited.workload, edited.contract)
    were = sum(one.action == "review" for one in cloud.recorded())
    assert f"to a person (were {were}), error of those that act 0." in tried
    assert len(said) == WEEK + 48
