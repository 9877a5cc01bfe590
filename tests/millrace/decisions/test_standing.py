"""A policy as it stands: its switch and its versions' thresholds, never older than ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.decisions import absorbed
from millrace.decisions.columns import ColumnShape, StoredTable, of_decisions, read_folder
from millrace.decisions.record import Decision, canonical, to_line
from millrace.decisions.standing import CACHED_S, Standing, Switch
from millrace.decisions.store import read_lines
from millrace.messages.monitor import FloorDay
from millrace.state.automation import Automation
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.state.versions import FloorState, KeptPromise
from millrace.tasks.binary import Binary
from millrace.workload.policy import Automate, Costs, Floor, Policy
from tests.millrace.decisions.test_record import DECISION, DECISIONS
from tests.millrace.state.conftest import NAMES, client, table
from tests.state_table import create_table

__all__ = ["client", "table"]
PLATFORM = NAMES.platform
PROMISE = Policy(automate=Automate(promised_error=0.05))
AT = datetime(1997, 6, 1, 6, tzinfo=UTC)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def version(number: int, **found: str) -> Version:
    return Version(package_arn="a", version=str(number), model_name="m", run="r", baseline_uri="s3://b/b", **found)


def go_live(table: StateTable, live: Version) -> None:
    pointers = ReleasePointers(table)
    pointers.move(pointers.read().with_live(live))


@pytest.mark.parametrize(
    ("found", "threshold"),
    [
        ({}, None),
        ({"promised_error": "0.05"}, None),
        ({"promised_error": "0.1", "automate_from": "0.7"}, None),
        ({"promised_error": "0.01", "automate_from": "0.9"}, 0.9),
    ],
    ids=["from before", "none found", "weaker promise", "stricter promise"],
)
def test_a_version_automates_by_a_threshold_for_the_promise(
    found: dict[str, str], threshold: float | None, table: StateTable
) -> None:
    go_live(table, version(1, **found))
    assert Standing(PROMISE, table).acting("1").threshold == threshold


def test_a_version_acts_by_the_costs_that_it_was_evaluated_with(table: StateTable) -> None:
    costs = Costs(false_positive=5, false_negative=40, review=2)
    go_live(table, version(1))
    go_live(table, version(2, costs_digest=costs.digest))

    def thresholds(**other: float) -> list[float | None]:
        now = Costs(**{**costs.model_dump(exclude_none=True), **other})
        standing = Standing(Policy(automate=Automate(costs=now)), table)
        return [standing.acting(one).threshold for one in ("2", "1", "3", None)]

    assert thresholds() == [2, None, None, None]
    assert thresholds(review=3) == [3, None, None, None], "a person's price is no part of the answers"
    assert thresholds(false_negative=41) == [None] * 4


def stopped(table: StateTable) -> tuple[Clock, Callable[[], list[str | None]]]:
    """A clock, and what who decides and who only acts on decisions see then."""
    clock = Clock()
    standing, switch = Standing(PROMISE, table, clock=clock), Switch(table, clock=clock)
    return clock, lambda: [standing.acting("1").stopped, switch.stopped()]


def test_the_switch_is_seen_within_ten_seconds_and_nothing_is_automated_unread(client: Any, table: StateTable) -> None:
    clock, seen = stopped(table)
    assert seen() == [None, None]
    Automation(is_paused=True, reason="complaints", by="ann", since=AT).put(table)
    for seconds, expected in ((CACHED_S - 0.1, None), (CACHED_S, "paused")):
        clock.seconds = seconds
        assert seen() == [expected] * 2
    client.delete_table(TableName=PLATFORM.state_table)
    clock.seconds = 2 * CACHED_S
    assert seen() == ["state_unknown"] * 2
    create_table(client, PLATFORM.state_table)
    clock.seconds = 3 * CACHED_S
    assert seen() == [None, None]


def test_a_rollback_brings_no_withdrawn_promise_back(table: StateTable) -> None:
    """Labels have moved version 1 to where nothing acts; those of version 2 change nothing about that."""
    go_live(table, version(1, promised_error="0.05", automate_from="0.75"))
    assert KeptPromise(version="1", threshold=0.9999, as_of=AT).put(table)
    go_live(table, version(2, promised_error="0.05", automate_from="0.8"))
    assert KeptPromise(version="2", threshold=0.81, as_of=AT + timedelta(days=7)).put(table)
    go_live(table, version(1, promised_error="0.05", automate_from="0.75"))
    assert Standing(PROMISE, table).acting("1").threshold == 0.9999


def test_the_secret_of_the_held_out_share_is_drawn_once(table: StateTable) -> None:
    first, second = (Standing(Policy(held_out=0.1), table).acting("1").secret for _ in range(2))
    assert first == second
    assert len(first) >= 64
    other = StateTable(boto3.client("dynamodb", region_name="eu-west-1"), replace(NAMES, workload="income"))
    assert Standing(Policy(held_out=0.1), other).acting("1").secret != first


def test_a_version_below_its_floor_is_seen_within_ten_seconds_and_stays_so_unread(
    client: Any, table: StateTable
) -> None:
    clock, days = Clock(), (FloorDay(day="1997-06-01", labels=48, own=30, rule=10),)
    standing = Standing(Policy(floor=Floor(labels=48)), table, clock=clock)
    go_live(table, version(1, rule_answer='{"value":1}'))

    def below() -> list[bool]:
        clock.seconds += CACHED_S
        return [standing.acting(one).below_floor for one in ("1", "2")]

    assert below() == [False, False]
    FloorState(version="1", below=True, since=AT, as_of=AT, days=days).put(table)
    assert below() == [True, False]
    client.delete_table(TableName=PLATFORM.state_table)
    assert (below(), standing.rule_answer()) == ([True, False], {"value": 1})
    create_table(client, PLATFORM.state_table)
    go_live(table, version(1, rule_answer='{"value":1}'))
    go_live(table, version(2))
    FloorState(version="1", below=True, since=AT, as_of=AT, days=days).put(table)
    assert (below(), standing.rule_answer()) == ([True, False], None), "the newer version has beaten the rule"
    assert (Standing(None, table).acting("1"), Standing(None, table).rule_answer()) == (None, None)


SHAPE = ColumnShape(
    cells={"nswprice": "float64", "timestamp": "timestamp", "a": "string", "none": None},
    answer=Binary().answer,
    measures=("x.y",),
)
LINE = to_line(DECISION)


def read(*bodies: list[str], absorbed_bodies: list[list[str]] | None = None) -> StoredTable:
    with TemporaryDirectory() as folder:
        for number, lines in enumerate(bodies):
            Path(folder, f"{number}.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
        for number, lines in enumerate(absorbed_bodies or []):
            path = Path(folder, "absorbed", f"date={number}", "0000.parquet")
            path.parent.mkdir(parents=True)
            parts = (absorbed.table_of(line.encode()) for line in lines)
            absorbed.write_file(path, (part for part in parts if part is not None))
        return read_folder(Path(folder), workload="electricity", shape=SHAPE)


def one_by_one(lines: list[str]) -> StoredTable:
    stored = read_lines(lines)
    return StoredTable(table=of_decisions(stored.decisions, SHAPE), unreadable=stored.unreadable)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(DECISIONS, min_size=1, max_size=12, unique_by=lambda one: (one.id, one.inferred_at)),
    st.integers(0, 12),
    st.booleans(),
)
def test_a_table_says_what_its_lines_say(decisions: list[Decision], first: int, twice: bool) -> None:
    lines = [to_line(one) for one in decisions] * (1 + twice)
    known = one_by_one(lines)
    for found in (read(lines[:first], lines[first:]), read(lines[:first], absorbed_bodies=[lines[first:]])):
        assert found.unreadable == known.unreadable
        assert found.table.column("id").equals(known.table.column("id"))
        for name in known.table.column_names:
            assert found.table.column(name).equals(known.table.column(name)), name


@pytest.mark.parametrize(
    "line",
    [
        "no line",
        LINE.replace('"fallback":false,', ""),
        LINE.replace("nswprice", "nswprize"),
        LINE.replace('"latency_ms":12.5', '"latency_ms":NaN'),
        LINE.replace('"eventId":"8f507cfc-7"', '"eventId":7'),
        LINE.replace('\\"value\\":1', '\\"value\\":{}'),
        LINE.replace('\\"value\\":1,', ""),
        LINE.replace("1997-01-02T23:30:00.000000Z", "1997-01-02T23:30:00"),
        to_line(replace(DECISION, input="[1]")),
        to_line(replace(DECISION, input='{"a":{}\n{"b":1}}')),
    ],
)
def test_a_line_that_is_no_decision_is_counted_alone(line: str) -> None:
    other = to_line(replace(DECISION, id="other"))
    assert one_by_one([line, other]).unreadable == 1
    for found in (read([line, other]), read([other], absorbed_bodies=[[other, line]])):
        assert found.table.column("id").to_pylist() == ["other"]
    assert read([line, other]).unreadable == 1


@pytest.mark.parametrize(
    "decision",
    [
        replace(DECISION, input=canonical({"nswprice": "much", "timestamp": "soon", "a": 7})),
        replace(DECISION, input=canonical({"nswprice": 1, "timestamp": None, "none": {"deep": 1.0}})),
        replace(DECISION, input='{ "nswprice" : 0.5 }'),
        replace(DECISION, output={"value": "a text", "probability": 0.5}),
        replace(DECISION, output={"value": [1, 2]}),
    ],
)
def test_a_cell_of_another_kind_is_read_as_the_line_alone_is(decision: Decision) -> None:
    lines = [to_line(decision), to_line(replace(DECISION, id="other"))]
    for found in (read(lines), read([], absorbed_bodies=[lines])):
        assert found.table.equals(one_by_one(lines).table)
        assert found.unreadable == 0


def test_of_two_decisions_of_one_time_the_greater_counts() -> None:
    twins = [to_line(replace(DECISION, output={"value": value, "probability": 0.5})) for value in (0, 1)]
    for lines in (twins, twins[::-1]):
        found = read([lines[0]], [lines[1], lines[0]])
        assert found.table.column("output.value").to_pylist() == [1]
        assert found.table.equals(one_by_one(lines).table)
