"""Writers of a table take turns, and a turn never stands in the way for long."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from millrace.state.table import StateTable
from millrace.state.turns import TURN_S, Turns


def test_a_table_has_one_turn_until_it_ends(table: StateTable) -> None:
    turns = Turns(table)
    assert turns.take("rows", holder="a", now_s=0.0)
    assert turns.take("rows", holder="a", now_s=1.0)
    assert not turns.take("rows", holder="b", now_s=1.0 + TURN_S - 0.1)
    assert turns.take("labels", holder="b", now_s=1.0)
    assert turns.take("rows", holder="b", now_s=1.0 + TURN_S)


def test_only_the_holder_ends_a_turn(table: StateTable) -> None:
    turns = Turns(table)
    turns.take("rows", holder="a", now_s=0.0)
    turns.take("rows", holder="b", now_s=TURN_S)
    turns.end("rows", holder="a")
    assert not turns.take("rows", holder="c", now_s=TURN_S)
    turns.end("rows", holder="b")
    assert turns.take("rows", holder="c", now_s=TURN_S)


def test_a_block_has_its_turn_alone_and_passes_it_on(table: StateTable) -> None:
    turns, came = Turns(table), list[str]()
    waits = Event()

    def second() -> None:
        waits.set()
        with turns.turn("rows", holder="b"):
            came.append("b")

    thread = Thread(target=second)
    with turns.turn("rows", holder="a"):
        thread.start()
        waits.wait()
        came.append("a")
    thread.join()
    assert came == ["a", "b"]


def test_a_block_that_fails_passes_its_turn_on(table: StateTable) -> None:
    turns = Turns(table)
    with pytest.raises(ValueError, match="lost"), turns.turn("rows", holder="a"):
        raise ValueError("lost")
    assert turns.take("rows", holder="b", now_s=0.0)


def test_who_has_waited_for_too_long_goes_on_and_ends_no_turn(table: StateTable) -> None:
    turns = Turns(table)
    with turns.turn("rows", holder="a"):
        with turns.turn("rows", holder="b", patience_s=0.0):
            pass
        assert table.get("turn#rows")["holder"] == {"S": "a"}
