"""What people say to a version's answers on the phase `assisted`: whom is asked what, and the verdict on what they say.

    10 rows a day -> 5 decided without its answer, 5 beside it -> Asked.agreed -> Reviews -> ladder.judge

Which rows are blind is drawn by their ids: the two halves are of one kind, so what sets them apart is the answer that
people see. Nothing here calls AWS or reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from millrace.decisions.review import LabelValue, is_drawn
from millrace.messages.climb import Climb, TwoAnswers
from millrace.release.climb import DAY, noted, rung_of
from millrace.release.ladder import Bars, Evidence, PhaseVerdict, ReviewCounts, judge
from millrace.tasks.task import Task
from millrace.workload.rollout import Assisted


def room(climb: Climb, asked: Assisted, now: datetime) -> int:
    """How many rows more people may be asked about now."""
    return max(asked.reviews_a_day - sum(now - one.asked_at < DAY for one in climb.asked), 0)


def is_blind(climb: Climb, decision_id: str, share: float) -> bool:
    """Whether a person decides this row without the version's answer."""
    return is_drawn(f"{climb.version} blind {decision_id}", share)


def agrees(pair: TwoAnswers, said: LabelValue, *, task: Task, labels: Sequence[str], within: float) -> bool:
    """Whether the person has decided as the challenger answers: the same class, or a number `within` of its own."""
    label: Any = [said[name] for name in labels] if isinstance(said, Mapping) else said
    return task.error(pair.challenger["value"], label) <= within


def reviews_of(climb: Climb) -> ReviewCounts:
    """People's answers as counts."""
    counts = {False: [0, 0], True: [0, 0]}
    for one in climb.asked:
        if one.agreed is not None:
            counts[one.blind][0] += 1
            counts[one.blind][1] += one.agreed
    (shown, shown_agreed), (blind, blind_agreed) = counts[False], counts[True]
    return ReviewCounts(blind=blind, blind_agreed=blind_agreed, shown=shown, shown_agreed=shown_agreed)


def look(
    climb: Climb, pairs: Sequence[TwoAnswers], *, asked: Assisted, now: datetime, refused: str = ""
) -> tuple[Climb, PhaseVerdict]:
    """The climb after this look, and the verdict. `refused` is what a person has said who refuses the version."""
    bars = Bars(least_agreement=asked.least_agreement, limit_days=asked.limit_days)
    evidence = Evidence(days=(now - climb.since) / DAY, bars=bars, reviews=reviews_of(climb))
    verdict = PhaseVerdict(answer="stop", because=refused) if refused else judge(rung_of(climb.phase), evidence)
    return noted(climb, pairs, verdict, now), verdict


def in_words(reviews: ReviewCounts) -> str:
    """For people: "18 of 20 agree beside its answer, 12 of 15 without it: anchoring of 10 points (-11 to 32)"."""
    blind = f"{reviews.blind_agreed} of {reviews.blind} without it"
    said = f"{reviews.shown_agreed} of {reviews.shown} agree beside its answer, {blind}"
    if reviews.anchoring is None:
        return said
    by, low, high = (f"{100 * one:.0f}" for one in reviews.anchoring)
    return f"{said}: anchoring of {by} points ({low} to {high})"
