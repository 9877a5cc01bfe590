"""Opens the rows of a delivered file that a person decides."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from millrace.aws.objects import at_once
from millrace.decisions.review import ReviewItem, item_of
from millrace.decisions.scored import ScoredDay, read_rows
from millrace.state.reviews import ReviewQueue
from millrace.workload.policy import Review

if TYPE_CHECKING:
    import pyarrow as pa


MOST_OPENED = 10_000
"""The most rows of one file that come into the queue: more than people decide while it waits."""


def open_reviews(
    queue: ReviewQueue,
    file: str,
    days: Mapping[date, ScoredDay],
    *,
    workload: str,
    drop_id: str,
    review: Review,
    opened_at: datetime,
    most: int = MOST_OPENED,
) -> int:
    """Open the rows with the action `review`, and return how many are not opened, since there are too many.

    Of more than `most` the first by priority are opened, then the first of the file. `days` are those that the
    rows of the file are about."""
    if not days:
        return 0
    waiting = Counter[str]()

    def items() -> Iterator[ReviewItem]:
        for decision in read_rows(file, days, workload=workload, drop_id=drop_id, wanted=_waits):
            waiting[decision.reason] += 1
            yield item_of(decision, review, opened_at=opened_at)

    # `nsmallest` holds no more than it returns, and keeps the order of equal priorities.
    chosen = heapq.nsmallest(most, items(), key=lambda item: item.priority)
    at_once(queue.open, chosen)
    return waiting.total() - len(chosen)


def _waits(rows: pa.Table) -> Any:
    return pc.equal(rows["action"], "review")
