"""Writers of a table take turns: items `turn#<table>`. A writer that does not wait for its turn costs an attempt.

    turn#rows = {"holder": {"S": "5d7c39d7b8…"}, "ends_at": {"N": "865144820.25"}}

The table itself decides whose commit counts, so a turn protects no data: it ends after TURN_S, whatever its holder
does, and who has waited for PATIENCE_S goes on without one. Of five writers that race, each attempt of one makes those
of the others void."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from millrace.state.table import StateTable

PREFIX = "turn#"
TURN_S, PATIENCE_S = 20.0, 60.0
"""The most seconds of a turn, and of the wait for one. A group of small drops takes some 3 seconds."""
PAUSE_S = 0.5
"""The longest pause between two looks, in seconds. Pauses are random, so that writers do not look at the same time."""


class Turns:
    """The turns at the tables of one workload."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    @contextmanager
    def turn(self, table: str, *, holder: str, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """The block has the turn at `table`, unless it has waited for too long."""
        end_s = time.monotonic() + patience_s
        while not self.take(table, holder=holder, now_s=time.time()) and time.monotonic() < end_s:
            time.sleep(random.uniform(0, PAUSE_S))  # noqa: S311 # nosec B311 # parts writers, guards nothing
        try:
            yield
        finally:
            self.end(table, holder=holder)

    def take(self, table: str, *, holder: str, now_s: float) -> bool:
        """Whether `holder` has the turn now: it is nobody's, has ended, or is the holder's already."""
        is_free = "attribute_not_exists(holder) OR holder = :holder OR ends_at <= :now"
        times = {"end": {"N": str(now_s + TURN_S)}, "now": {"N": str(now_s)}}
        taken = "SET holder = :holder, ends_at = :end"
        return self._table.update(f"{PREFIX}{table}", taken, is_free, holder=holder, **times)

    def end(self, table: str, *, holder: str) -> None:
        """End the holder's turn. If another one has it by now, that one keeps it."""
        self._table.update(f"{PREFIX}{table}", "REMOVE holder, ends_at", "holder = :holder", holder=holder)
