"""The floor: a version that does worse than the naive rule on recent labels gives way until it is better."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millrace.decisions.floor import compared, cost, is_share, judge, together
from millrace.messages.monitor import FloorDay
from millrace.workload.policy import Floor
from tests.millrace.decisions.test_record import DECISION
from tests.outcomes import outcomes_of
from tests.plant import write_plant

FLOOR = Floor(labels=96, return_labels=96, margin=0.02)
NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)


def days(*figures: tuple[float, float], labels: int = 48) -> list[FloorDay]:
    """Successive days with these sums of the version and of the rule."""
    return [
        FloorDay(day=f"1997-01-{number:02}", labels=labels, own=own, rule=rule)
        for number, (own, rule) in enumerate(figures, start=1)
    ]


@pytest.mark.parametrize(
    ("own", "rule", "labels", "from_above", "from_below"),
    [
        (48, 0, 48, False, True),
        (0, 48, 48, False, True),
        (30, 20, 96, True, True),
        (21, 20, 96, False, True),
        (19, 20, 96, False, True),
        (17, 20, 96, False, False),
    ],
)
def test_to_and_fro_need_labels_and_the_margin(
    own: int, rule: int, labels: int, from_above: bool, from_below: bool
) -> None:
    """The margin of 96 labels is 1.92 wrong answers."""
    came = days(*[(own / 2, rule / 2)] * 2, labels=labels // 2)
    found = [judge(came, below=below, floor=FLOOR, is_share=True).below for below in (False, True)]
    assert found == [from_above, from_below]


def test_the_version_comes_back_only_if_it_is_better_on_many_labels_too() -> None:
    """Two bad days, then two good ones: the rule takes over by two days, and gives way by four."""
    floor = Floor(labels=96, return_labels=192, margin=0.02)
    bad, good = (30, 10), (5, 20)
    assert judge(days(good, good, bad, bad), below=False, floor=floor, is_share=True).below
    found = judge(days(good, bad, bad, good, good), below=True, floor=floor, is_share=True)
    assert (found.below, len(found.days)) == (True, 4)
    assert judge(days(bad, good, good, good), below=True, floor=floor, is_share=True).below is False
    assert judge(days(good, good, good), below=True, floor=floor, is_share=True).below, "144 labels are too few"
    assert Floor(labels=96).labels_to_return == 14 * 96


def test_the_margin_of_amounts_is_a_share_of_the_rules_figure() -> None:
    for own, below in ((101.9, False), (102.1, True)):
        assert judge(days((own, 100), labels=96), below=False, floor=FLOOR, is_share=False).below is below


def test_the_newest_days_count_and_are_kept_and_one_that_comes_again_counts_once() -> None:
    found = judge(days((48, 0), (48, 0), (0, 20), (0, 20)), below=True, floor=FLOOR, is_share=True)
    assert (found.below, [one.day for one in found.days]) == (False, ["1997-01-03", "1997-01-04"])
    first, second = days((1, 2), (3, 4))
    assert together([first, second], [second]) == [first, second]


def test_where_a_class_is_rare_the_log_loss_counts(tmp_path: Path) -> None:
    task = write_plant(tmp_path, "binary").task
    sure, even = ({"value": int(p >= 0.5), "probability": p} for p in (0.9, 0.5))
    assert cost(sure, "on", task, "log_loss") == pytest.approx(-math.log(0.9))
    assert cost(sure, "off", task, "log_loss") == pytest.approx(-math.log(0.1))
    assert [cost(sure, label, task, "error") for label in ("on", "off")] == [0, 1]
    assert (is_share(task, "error"), is_share(task, "log_loss")) == (True, False)
    moments = (timedelta(0), timedelta(hours=1), timedelta(days=1))
    decisions = [replace(DECISION, event_time=NEW_YEAR + after, output=sure) for after in moments]
    outcomes = outcomes_of(decisions, ("on", "off", "on"), [0.0] * 3)
    first, second = compared(outcomes, even, task, "log_loss")
    assert (first.day, first.labels, second.day, second.labels) == ("1997-01-01", 2, "1997-01-02", 1)
    assert first.own == pytest.approx(-math.log(0.9) - math.log(0.1))
    assert first.rule == pytest.approx(2 * math.log(2))
