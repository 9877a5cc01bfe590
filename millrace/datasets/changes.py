"""The one way rows leave a table and come into it: a `Change`, with its notes in the journal, once.

replaced version   the rows of the earlier version leave, those of the later one come
withdrawal         rows or labels leave
compaction         small data files leave, one file with the same rows comes
rewriting          all data files leave, others with the rows in other types come"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.types import IcebergType

from millrace.contract.kinds import Kind
from millrace.datasets.iceberg import DropsTransaction
from millrace.datasets.journal import JournalEntry
from millrace.datasets.notes import WITHDRAWN, WRITTEN_BY
from millrace.datasets.tables import ICEBERG_TYPES, Lake, with_metadata
from millrace.errors import ConflictError

Done = TypeVar("Done")
Turn = Callable[[], AbstractContextManager[object]]
"""Waits until its caller is the only writer of the table, as far as it can know (`millrace.state.turns`)."""
ATTEMPTS = 100
"""The most attempts at a commit. There are as many writers as slots, ten, and nine of them lose at a time. If all ten
had drops without end, 20 attempts would fail one drop in eight, 100 attempts one in 38,000. With their pauses the
attempts stay within the function's time."""
PAUSE_S = 0.1
"""The longest first pause, in seconds. Each further one may be twice as long, up to 2 s. Pauses are random, so that
writers do not meet again."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Rows that leave a table and rows that come into it."""

    notes: Mapping[str, str]
    """The summary of the change's snapshot (`millrace.datasets.notes`). A change of no row is kept for its notes."""
    remove: BooleanExpression | Sequence[DataFile] = ()
    """Which rows leave: a filter, or data files whose rows are all in the files that come."""
    add: Sequence[DataFile] = ()
    """The uploaded files with the rows that come."""
    removed_as: str = ""
    """The note that says how many rows the filter removed; empty for none."""


class Attempt:
    """Changes on top of a table in one transaction: others see all of them at once, or none."""

    def __init__(self, iceberg: IcebergTable) -> None:
        self._iceberg = iceberg
        self._transaction: Transaction | None = None

    @property
    def table(self) -> IcebergTable:
        """The table as it will be after the commit, with the changes so far."""
        return with_metadata(self._iceberg, self._transaction.table_metadata) if self._transaction else self._iceberg

    def apply(self, change: Change) -> JournalEntry:
        """The entry of the change's snapshot.

        Rows that leave by a filter leave in a snapshot before it. It is the change's own if it is a withdrawal."""
        notes = dict(change.notes)
        if isinstance(change.remove, BooleanExpression) and (rows := count(self.table, change.remove)):
            notes |= {change.removed_as: str(rows)} if change.removed_as else {}
            is_withdrawal = change.removed_as == WITHDRAWN
            by = {WRITTEN_BY: notes[WRITTEN_BY]} if WRITTEN_BY in notes else {}
            left = notes if is_withdrawal else {WITHDRAWN: str(rows), **by}
            self._begun().delete(change.remove, snapshot_properties=left)
            if is_withdrawal:
                return self._last()
        former = () if isinstance(change.remove, BooleanExpression) else change.remove
        update = self._begun().update_snapshot(snapshot_properties=notes)
        with update.overwrite() if former else update.merge_append() as snapshot:
            for file in former:
                snapshot.delete_data_file(file)
            for file in change.add:
                snapshot.append_data_file(file)
        return self._last()

    def retype(self, kinds: Mapping[str, Kind]) -> IcebergTable:
        """The table with these columns of other kinds in place of its own: its rows have nothing in them yet.

        A field id keeps its type for ever, by which earlier snapshots are read: each column gets a new one."""
        with self._begun().update_schema(allow_incompatible_changes=True) as update:
            for name, kind in kinds.items():
                update.delete_column((name,)).add_column((name,), IcebergType.model_validate(ICEBERG_TYPES[kind]))
        return self.table

    def commit(self) -> bool:
        """As `try_commit`; True if there is nothing to commit."""
        return self._transaction is None or try_commit(self._transaction)

    def _last(self) -> JournalEntry:
        current = self.table.current_snapshot()
        assert current is not None
        return JournalEntry.of(current)

    def _begun(self) -> Transaction:
        self._transaction = self._transaction or DropsTransaction(self._iceberg)
        return self._transaction


def change(
    lake: Lake, table: str, plan: Callable[[Attempt], Done], *, without: Done | None = None, turn: Turn = nullcontext
) -> Done:
    """The result of `plan`, with the changes that it applied to its attempt in the table.

    `plan` is called before each attempt, with the table as it is then. It looks into the journal first, so a repeated
    change is not made twice. `without` is the result if the table has no snapshot yet; for None the table is made.
    Each attempt is within a `turn`, which parts writers that would else race.
    Raises ConflictError if other writers win every time."""

    def attempt() -> Done | None:
        with turn():
            return take()

    def take() -> Done | None:
        iceberg = lake.open(table) if without is None else lake.find(table)
        if iceberg is None or (without is not None and iceberg.current_snapshot() is None):
            return without
        began = Attempt(iceberg)
        done = plan(began)
        return done if began.commit() else None

    return until_won(attempt, f"{lake.names.table(table)}: expected the change to be committed")


def count(iceberg: IcebergTable, which: BooleanExpression) -> int:
    """The number of rows of the table that the filter finds."""
    return iceberg.scan(row_filter=which).count()


def try_commit(transaction: Transaction) -> bool:
    """Whether the transaction is in the table for certain.

    False if another writer was first, or if the outcome is unknown. The next attempt looks at the table first, so
    "perhaps" never becomes "twice"."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        transaction.commit_transaction()
    except (CommitFailedException, BotoCoreError):
        return False
    except ClientError as error:
        # A further attempt would meet these errors again.
        if error.response["Error"]["Code"] in ("AccessDeniedException", "EntityNotFoundException"):
            raise
        return False
    return True


def until_won(attempt: Callable[[], Done | None], expected: str) -> Done:
    """The result of the first attempt that wins. An attempt that loses returns None; each looks at the table anew.

    Raises ConflictError with `expected` if other writers win every time."""
    for number in range(ATTEMPTS):
        if (done := attempt()) is not None:
            return done
        longest_s = min(2.0, PAUSE_S * 2**number)
        time.sleep(random.uniform(0, longest_s))  # noqa: S311 # nosec B311 # parts writers, guards nothing
    raise ConflictError(f"{expected}, others won {ATTEMPTS} times")
