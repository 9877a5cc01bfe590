"""A workload with a floor: labels speak against the live version, the naive rule answers, the version comes back.

Then its input drifts and labels are missing; then a retraining is due by its schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.console.environment import local_environment
from millrace.console.queries.reviews import list_waiting
from millrace.console.queries.runs import executions
from tests.electricity import CLOCK, KNOWN, NAMES, Electricity, live_electricity, sample
from tests.end_to_end.callers import audited, typed
from tests.localcloud.waiting import until

WEEK = 7 * 48
CHANGES = {
    "  event_time: timestamp": "  event_time: timestamp\n  fallback: [rule, {constant: 0.5}]",
    "cron(0 7 1 1,7 ? *)": "cron(0 7 1 5 ? *)",
    "  minimum_new_labels: 1344": "  minimum_new_labels: 300",
    "  minimum_drifted_labels: 0 ": "  without_labels: floor\n  minimum_drifted_labels: 140 ",
}
POLICY = (
    "\nknown_keys: {hours: 48}\npolicy:\n  floor: {labels: 300, return_labels: 300, margin: 0.02}\n  labels_a_day: 2\n"
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    with live_electricity(tmp_path_factory.mktemp("floor"), added=POLICY, changes=CHANGES) as cloud:
        yield cloud


def rows_of(week: int, days: int = 8) -> pa.Table:
    return sample(KNOWN + week * WEEK, days * 48)


def day_after(days: int) -> pa.Table:
    """The rows of the day that lies so many days behind those that the version knows."""
    return sample(KNOWN + days * 48, 48)


def judge(cloud: Electricity, rows: pa.Table, name: str, *, days: int) -> None:
    """The labels of the rows come, a person accepts those that are held, and the monitor runs by its schedule."""
    cloud.rest()  # until the decisions are stored
    cloud.drop(f"labels/{name}", rows.select(["timestamp", "class"]))
    for one in [each for each in typed("held") if each["status"] == "waiting"]:
        assert "contradict answers" in one["because"] or "of no known decision" in one["because"]
        typed("held", "--accept", one["drop"], "--reason", "the world has turned")
        cloud.rest()
    cloud.go_to(CLOCK + timedelta(days=days))


def test_the_rule_answers_below_the_floor_until_the_version_is_better_again(cloud: Electricity) -> None:
    live = cloud.champion()
    assert live.rule_answer == "", "it repeats the same half hour of the day before"
    said = cloud.predict("first", rows_of(0))
    assert {(one["action"], one["reason"], one["fallback"]) for one in said} == {("automated", "within_bounds", False)}

    # Labels of another world: each is the opposite of what it was in the sample.
    asked = rows_of(0)
    turned = pc.subtract(pa.scalar(1, asked["class"].type), asked["class"])
    judge(cloud, asked.set_column(asked.column_names.index("class"), "class", turned), "against", days=15)
    assert "naive rule answers" in typed("status")[0]["automated"]
    (on,) = [one for one in typed("audit", "list") if one["event"].startswith("floor.")]
    assert (on["event"], on["details"]["below"]) == ("floor.on", True)
    assert on["details"]["own"] > on["details"]["rule"]
    assert "below-floor" in cloud.raised()

    # The next day is answered by the rule; what the version says is kept beside it, for requests and files.
    calls = iter(range(1000))
    until(lambda: {one["reason"] for one in cloud.predict(f"c-{next(calls)}", day_after(8))} == {"below_floor"})
    for one, label in zip(cloud.predict("second", day_after(8)), turned[-48:].to_pylist(), strict=True):
        assert (one["value"], one["probability"]) == (label, float(label))
        assert (one["action"], one["fallback"], one["answered_by"]) == ("fallback", True, "rule")
        assert one["model_version"] is None
    cloud.drop("scoring/file", day_after(8).drop_columns(["class"]))
    kept = [one for one in cloud.recorded() if one.id.startswith("second-") or one.source == "batch"]
    assert len(kept) == 2 * 48
    for decision in kept:
        assert (decision.reason, decision.answered_by) == ("below_floor", "rule")
        assert decision.withheld is not None
        assert decision.withheld.model_version == live.version
        assert 0 < decision.withheld.output["probability"] < 1
    # Of later days the label of the day before is not known: the version's answers stand.
    assert {one["reason"] for one in cloud.predict("third", rows_of(2))} == {"within_bounds"}

    # On the labels as they were the version is better again.
    judge(cloud, rows_of(2, 9), "for", days=35)

    assert typed("status")[0]["automated"] == "every answer within the policy's bounds"
    until(lambda: {one["reason"] for one in cloud.predict(f"c-{next(calls)}", day_after(23))} == {"within_bounds"})
    found = [one["event"] for one in typed("audit", "list") if one["event"].startswith("floor.")]
    assert sorted(found) == ["floor.off", "floor.on"]
    assert "below-floor" not in cloud.raised()


def test_after_an_alarm_without_labels_the_rule_answers_and_people_are_asked(cloud: Electricity) -> None:
    """Once the labels of the drifted weeks have come they decide who answers, and the retraining is accepted."""
    asked = rows_of(5, 14)
    further = pc.min_element_wise(pc.add(asked["nswprice"], 0.4), 1.0)
    cloud.predict("drifted", asked.set_column(asked.column_names.index("nswprice"), "nswprice", further))
    cloud.go_to(CLOCK + timedelta(days=50))

    assert "input-drift" in cloud.raised()
    refused = guarded("retrain.refused")[-1]
    assert (refused["reason"], refused["evidence"]["drifted_labels"]) == ("drifted_labels", 0)
    since = datetime.fromisoformat(refused["evidence"]["drifted_since"])
    assert since.replace(tzinfo=None) - asked["timestamp"][0].as_py() < timedelta(days=7)
    assert typed("status")[0]["automated"].endswith("until labels decide")
    (on,) = [one for one in typed("audit", "list") if one["event"] == "floor.on" and not one["details"]["labels"]]
    assert on["actor"] == "guard"
    calls = iter(range(1000))
    until(lambda: {one["reason"] for one in cloud.predict(f"d-{next(calls)}", day_after(23))} == {"below_floor"})
    waiting = list_waiting(local_environment(cloud), NAMES, limit=1000)
    assert Counter(one.event_time.date() for one in waiting)[asked["timestamp"][4 * 48].as_py().date()] == 140 / 7

    judge(cloud, asked, "decisive", days=66)

    assert not typed("status")[0]["automated"].endswith("until labels decide")
    accepted = guarded("retrain.accepted")[-1]
    assert accepted["evidence"]["drifted_labels"] >= 140
    assert accepted["evidence"]["drifted_since"] == refused["evidence"]["drifted_since"]


def test_a_retraining_by_schedule_is_accepted_and_its_model_judged(cloud: Electricity) -> None:
    """The cool-down is over, and further rows have come with their label; the alarm is looked at again at eight."""
    cloud.drop("training/further", rows_of(8, 14))
    cloud.go_to(datetime.fromisoformat("1997-05-01T07:30:00+00:00"))
    accepted = guarded("retrain.accepted")[-1]
    assert (accepted["trigger"], accepted["evidence"]["as_of"]) == ("schedule", "1997-05-01T07:00:00Z")
    assert accepted["evidence"]["new_labels"] >= 14 * 48
    (trained,) = [
        one
        for one in executions(cloud.client("stepfunctions"), NAMES, limit=50, machines=("train",))
        if one.input.get("reason") == "schedule"
    ]
    assert trained.status == "SUCCEEDED"
    assert trained.answer("gating")["verdicts"]


def guarded(event: str) -> list[dict[str, Any]]:
    """What the guard has decided, in order of time."""
    return sorted(audited(event), key=lambda one: str(one["evidence"]["as_of"]))
