"""The batches of one shard: which comes next, and what becomes of it. It calls nothing and knows no clock of its own.

records   a b c d e f        batch of 4
[a b c d] fails              halves: [a b] [c d], and e f wait behind them
[a b]     succeeds           done: 2
[c d]     fails              halves: [c] [d]
[c]       fails, again …     at last given up, and goes to the destination
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Batch:
    """Records of a shard that go to the function together."""

    records: Sequence[Any]
    tries: int = 0
    """How many calls with it have failed; a split counts as none."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an event source mapping says of batches that fail."""

    size: int
    bisects: bool
    most_retries: int
    """-1: as many as it takes."""
    oldest_s: int
    """-1: a record is never too old."""


@dataclass(kw_only=True)
class Shard:
    """How far one shard is."""

    rules: Rules
    done: int = 0
    """How many records are done or given up."""
    waiting: list[Batch] = field(default_factory=list)
    """Parts of a batch that has failed, in order."""

    def next_batch(self, records: Sequence[Any]) -> Batch | None:
        """The batch whose turn it is; None if every record is done."""
        if not self.waiting and (left := records[self.done : self.done + self.rules.size]):
            self.waiting = [Batch(records=left)]
        return self.waiting[0] if self.waiting else None

    def take_old(self, batch: Batch, now: float) -> list[Any]:
        """Take out of the batch the records that are too old, and return them. `now` is in seconds since the epoch."""
        if self.rules.oldest_s < 0:
            return []
        old = [one for one in batch.records if now - one.created_at > self.rules.oldest_s]
        self._advance(batch, len(old))
        return old

    def succeed(self, batch: Batch, until: int) -> None:
        """The first `until` records are done. The rest comes again, as one try that has failed."""
        left = len(batch.records) - until
        self._advance(batch, until)
        if left:
            batch.tries += 1

    def fail(self, batch: Batch) -> None:
        """Halve the batch, or count the try with one that is not halved."""
        middle = len(batch.records) // 2
        if self.rules.bisects and middle:
            halves = (batch.records[:middle], batch.records[middle:])
            self.waiting[:1] = [Batch(records=one, tries=batch.tries) for one in halves]
        else:
            batch.tries += 1

    def is_spent(self, batch: Batch) -> bool:
        """Whether the batch has no retry left."""
        return 0 <= self.rules.most_retries < batch.tries

    def give_up(self, batch: Batch) -> None:
        self._advance(batch, len(batch.records))

    def _advance(self, batch: Batch, count: int) -> None:
        self.done += count
        batch.records = batch.records[count:]
        if not batch.records:
            self.waiting.remove(batch)
