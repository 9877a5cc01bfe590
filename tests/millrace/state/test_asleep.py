"""Of many who find an endpoint asleep one has it started, and after an hour without it another one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from millrace.state.asleep import Asleep
from millrace.state.table import StateTable

NOW = datetime(1997, 6, 2, 6, 12, 8, tzinfo=UTC)
SLEEP = Asleep(version="3", config="config-3", instance="ml.m5.large", instances=2, since=NOW - timedelta(hours=9))


def test_one_of_many_has_to_start_it(table: StateTable) -> None:
    assert not Asleep.ask(table, NOW), "one that is not asleep"
    SLEEP.put(table)
    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(lambda _: Asleep.ask(table, NOW), range(64))) == [False] * 63 + [True]
    assert Asleep.find(table) == replace(SLEEP, asked=NOW)


def test_who_could_not_start_it_takes_back_only_his_own_word(table: StateTable) -> None:
    SLEEP.put(table)
    assert Asleep.ask(table, NOW)
    Asleep.take_back(table, NOW - timedelta(seconds=1))
    assert not Asleep.ask(table, NOW)
    Asleep.take_back(table, NOW)
    assert Asleep.ask(table, NOW)


def test_a_start_that_is_noted_late_leaves_a_newer_sleep(table: StateTable) -> None:
    newer = replace(SLEEP, since=NOW)
    newer.put(table)
    SLEEP.remove(table)
    assert Asleep.find(table) == newer
    newer.remove(table)
    assert Asleep.find(table) is None
