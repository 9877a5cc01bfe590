"""Labels of decisions: the one that counts and those that it replaced, as `millrace decisions` and `why` show them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.kernel.cloud import Cloud
from millrace.console.environment import Environment
from millrace.console.queries.labels import KnownLabel, find_labels, learnt_from
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import withdraw
from tests.millrace.datasets import conftest
from tests.millrace.datasets.test_decision_rows import SAMPLE, decision
from tests.millrace.datasets.test_labels import NEW, OLD, drop_labels

lake, names = conftest.lake, conftest.names


@pytest.fixture
def environment(lake: Lake, cloud: Cloud) -> Environment:
    return Environment(platform=lake.names.platform, client=cloud.client)


def told(environment: Environment, lake: Lake, number: int) -> list[tuple[str, list[tuple[Any, bool, str]]]]:
    """Value, whether it counts, and the file, of each label of the first decisions."""
    decisions = [decision(row) for row in SAMPLE.slice(0, number).to_pylist()]
    found = find_labels(environment, lake.names, decisions)
    return [
        (each.id, [(one.value, one.counts, Path(one.drop).stem) for one in found.get(each.id, ())])
        for each in decisions
    ]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_later_label_counts_and_the_earlier_is_shown(
    environment: Environment,
    lake: Lake,
    tmp_path: Path,
    order: tuple[int, int],
) -> None:
    values = {1: [OLD, NEW], 2: [NEW]}
    for day in order:
        drop_labels(lake, tmp_path, f"day{day}", list(values[day]), day=day)
    (_, first), (_, second), (_, third) = told(environment, lake, 3)
    assert first == [(OLD, False, "day1"), (NEW, True, "day2")]
    assert second == [(NEW, True, "day1")]
    assert third == []


def test_the_labels_of_an_overwritten_file_are_shown_as_replaced(
    environment: Environment,
    lake: Lake,
    tmp_path: Path,
) -> None:
    drop_labels(lake, tmp_path, "other", [OLD], day=1, first=1)
    drop_labels(lake, tmp_path, "may", [OLD], day=2, sequencer="01")
    drop_labels(lake, tmp_path, "may", [NEW], day=3, sequencer="02")
    (_, first), (_, second) = told(environment, lake, 2)
    assert first == [(OLD, False, "may"), (NEW, True, "may")]
    assert second == [(OLD, True, "other")]


def test_a_label_that_was_withdrawn_is_shown_no_more_as_a_replaced_one(
    environment: Environment, lake: Lake, tmp_path: Path
) -> None:
    """Neither of its file's versions; one that came for the same row afterwards is."""
    drop_labels(lake, tmp_path, "other", [OLD], day=1, first=2)
    drop_labels(lake, tmp_path, "may", [OLD, OLD], day=2, sequencer="01")
    drop_labels(lake, tmp_path, "may", [NEW, NEW], day=3, sequencer="02")
    assert withdraw(lake, "labels", "electricity/labels/may.csv", cause="w") == 2
    (_, first), (_, second), (_, third) = told(environment, lake, 3)
    assert (first, second, third) == ([], [], [(OLD, True, "other")])
    drop_labels(lake, tmp_path, "june", [OLD], day=4, sequencer="03")
    drop_labels(lake, tmp_path, "june", [NEW], day=5, sequencer="04")
    assert told(environment, lake, 1)[0][1] == [(OLD, False, "june"), (NEW, True, "june")]


def test_what_is_found_for_a_decision_does_not_depend_on_the_others(
    environment: Environment, lake: Lake, tmp_path: Path
) -> None:
    """A row was asked about twice, as after a new version: its label is that of both."""
    drop_labels(lake, tmp_path, "day1", [OLD, NEW], day=1)
    (row,) = SAMPLE.slice(0, 1).to_pylist()
    first, second = decision(row, name="a"), decision(row, name="b", minute=5)
    together = find_labels(environment, lake.names, [first, second])
    assert together["a"] == together["b"]
    for one in (first, second):
        assert find_labels(environment, lake.names, [one]) == {one.id: together[one.id]}


def test_a_version_has_learnt_from_the_label_that_was_the_last_when_it_was_trained() -> None:
    """Of each horizon by itself; a label of no drop, such as a later row, has no learners."""
    drops: Any = {name: SimpleNamespace(place=place) for place, name in enumerate("abc")}
    came = [("a", 0), ("b", 0), ("c", 24), ("row", 0)]
    labels = [KnownLabel(value=1, counts=False, arrived=None, drop=drop, hours=hours) for drop, hours in came]
    found = learnt_from(labels, drops, [(1, 0), (2, 1), (3, 2)])
    assert [one and one.versions for one in found] == [("1",), ("2", "3"), ("3",), None]
