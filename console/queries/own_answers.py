"""What a person has answered last, with what others have said of the same rows, and with the labels that came later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace.console.environment import Environment
from millrace.console.queries.decisions import words_of
from millrace.console.queries.labels import REVIEW, find_labels
from millrace.console.queries.reviews import reviews_of
from millrace.contract.schema import Column
from millrace.decisions.record import Decision
from millrace.decisions.review import OPINIONS, LabelValue, ReviewAnswer, ReviewItem
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class OwnAnswer:
    """One answer of a person, which can no longer be taken back."""

    item: ReviewItem
    answer: ReviewAnswer
    others: tuple[ReviewAnswer, ...]
    """What others have said who were asked the same, the first one first."""
    column: Column
    """Of the label: it names the classes."""
    truth: LabelValue | None
    """The row's label that came otherwise than by an answer; of several horizons those that are known."""

    @property
    def cells(self) -> dict[str, str]:
        """For people; ▲ is before what is another answer than the person's own."""

        def told(value: LabelValue) -> str:
            return f"{'' if value == self.answer.value else '▲ '}{value_in_words(value, self.column)}"

        return {
            "answered_at": f"{self.answer.at:%Y-%m-%d %H:%M}",
            "about": ", ".join(map(str, self.item.key.values())),
            "reason": self.item.reason,
            "answer": value_in_words(self.answer.value, self.column),
            "guideline": self.answer.guideline,
            "others": ", ".join(told(one.value) for one in self.others),
            "label": "" if self.truth is None else told(self.truth),
        }


def find_own_answers(environment: Environment, names: WorkloadNames, by: str, *, limit: int) -> Sequence[OwnAnswer]:
    """The newest `limit` answers of this person, the newest first."""
    reviews, (_, column) = reviews_of(environment, names), words_of(names)
    ids = reviews.answers.of(by, most=limit)
    every = reviews.queue.find([f"{which}{name.rpartition('+')[2]}" for name in ids for which in ("", *OPINIONS)])
    decisions = {item.decision: _decision(names, item) for item in every.values()}
    labels = find_labels(environment, names, [*decisions.values()])

    def told(item: ReviewItem, answer: ReviewAnswer) -> OwnAnswer:
        asked = (every.get(f"{which}{item.decision}") for which in ("", *OPINIONS))
        others = tuple(one.answer for one in asked if one and one.answer and one.dropped_at and one.id != item.id)
        # Of one horizon the last that came is the label, whatever has counted since.
        known = {one.hours: one.value for one in labels.get(item.decision, ()) if REVIEW not in one.drop}
        truth = tuple(known.values()) if isinstance(answer.value, tuple) else next(iter(known.values()), None)
        return OwnAnswer(item=item, answer=answer, others=others, column=column, truth=truth if known else None)

    return [told(item, item.answer) for name in ids if (item := every.get(name)) and item.answer]


def value_in_words(value: LabelValue, column: Column) -> str:
    """A label for people: `late`, `damp, mould`, `61.0, 64.5`."""
    if isinstance(value, Mapping):
        return ", ".join(name for name, holds in value.items() if holds) or "none of the labels"
    return ", ".join(str(column.word(one)) for one in (value if isinstance(value, tuple) else (value,)))


def _decision(names: WorkloadNames, item: ReviewItem) -> Decision:
    """What labels are joined with: the row of the item."""
    return Decision(
        id=item.decision,
        workload=names.workload,
        event_time=item.event_time,
        key=item.key,
        input=item.input,
        output=item.output or {},
        model_version=item.model_version,
        phase="live",
        fallback=False,
        latency_ms=0.0,
        inferred_at=item.opened_at,
        source=item.source,
    )
