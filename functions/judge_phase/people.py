"""Asks people about rows that a version on the phase `assisted` has answered, and reads what they have decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from millrace.decisions.record import Decision
from millrace.decisions.review import ReviewItem, ReviewReason, item_of
from millrace.messages.climb import Climb, ClimbAsked, TwoAnswers
from millrace.release.assisted import agrees, is_blind
from millrace.state.reviews import ReviewQueue
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload


class People:
    """The people who answer the review queue of a workload."""

    def __init__(self, queue: ReviewQueue, workload: Workload, task: Task) -> None:
        self._queue, self._task, self._workload = queue, task, workload
        self._asked = workload.rollout.assisted

    def ask(self, climb: Climb, decisions: Iterable[Decision], pairs: Iterable[TwoAnswers], *, now: datetime) -> Climb:
        """The climb with what people are asked now: each of these pairs that nobody has decided or looks at."""
        kept = {one.id: one for one in decisions}
        items = [self._item(climb, kept[pair.id], pair, now) for pair in pairs]
        new = tuple(
            ClimbAsked(id=item.id, blind=item.is_blind, asked_at=now)
            for item in items
            if self._queue.open(item) or self._queue.exchange(item, now=now)
        )
        return climb.model_copy(update={"asked": (*climb.asked, *new)})

    def read(self, climb: Climb, pairs: Sequence[TwoAnswers]) -> Climb:
        """The climb with what people have decided since. An answer that can still be taken back does not count."""
        by_id = {pair.id: pair for pair in pairs}
        items = self._queue.find([one.id for one in climb.asked if one.agreed is None])
        return climb.model_copy(update={"asked": tuple(self._read(climb.asked, by_id, items))})

    def _read(
        self, asked: Iterable[ClimbAsked], pairs: dict[str, TwoAnswers], items: dict[str, ReviewItem]
    ) -> Iterator[ClimbAsked]:
        for one in asked:
            item, pair = items.get(one.id), pairs.get(one.id)
            if item and pair and item.answer and item.dropped_at:
                spec = self._workload.prediction
                agreed = agrees(pair, item.answer.value, task=self._task, labels=spec.labels, within=self._asked.within)
                yield one.model_copy(update={"agreed": agreed, "answered_at": item.answer.at})
            else:
                yield one

    def _item(self, climb: Climb, decision: Decision, pair: TwoAnswers, now: datetime) -> ReviewItem:
        assert self._workload.policy
        reason: ReviewReason = "assisted_blind" if is_blind(climb, decision.id, self._asked.blind) else "assisted"
        said = replace(decision, output=pair.challenger, model_version=climb.version)
        return item_of(said, self._workload.policy.review, opened_at=now, reason=reason)
