"""Whether a batch of labels is learnt, or held for a person: it is compared with earlier batches and with the model.

    contradictions   more labels than the day's quota have another value than known ones
    sure             the labels contradict what the model was sure of: all answers, those of a class, or of a part
    usual            a class's share, the labels' mean or the model's error is farther off than batches are
    adds up          the model's error has been above its mean for so long that it is no chance: a sequential count

A real change of the world looks like that too. Then a person accepts the batch, and it counts as usual from then on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from statistics import median_low
from typing import NamedTuple, TypeVar

from pydantic import TypeAdapter

from millrace.evaluation.reuse import student

LEAST_LABELS, UNIT_LABELS = 48, 200
"""A batch with fewer labels is judged together with the batches before it: until they have LEAST_LABELS, and until they
have UNIT_LABELS. So many small batches get no further than a large one."""
ALIKE = 3
"""Rows that are neighbours are wrong together: ALIKE of them count as one."""
LEAST_BATCHES = 8
"""The fewest earlier batches that say what is usual. Before, contradictions and sure answers are judged alone."""
MOST_BATCHES = 60
"""The newest batches, of UNIT_LABELS or more, that say what is usual."""
FARTHER = 1.25
"""An unusual batch is also farther from the mean than FARTHER times the farthest one of the earlier batches.

Batches of a stream are not normal: without it the seasons of electricity hold one batch in a hundred."""
SURE = 0.9
"""The confidence from which on an answer is sure."""
SURE_WRONG, MOST_WRONG = 0.3, 0.8
"""A larger share of sure answers is not wrong by chance: of calibrated ones at most a tenth is. After a batch with a
larger one that a person has accepted, that counts, up to MOST_WRONG. What was only learnt does not raise it."""
EVEN, EVERY = 0.5, "every answer"
"""Of the answers with a confidence of EVEN or more at most so many are wrong, whatever the model. This sees labels that
are turned around where a model is rarely sure."""
ERROR = "error"
"""The figure of the model's mean error."""
WORST = "worst part"
"""The part of the rows whose sure answers are contradicted most, as later batches know it."""
SLACK = 0.5
"""The sequential count adds by how many standard deviations a batch errs more than those before it, less SLACK. So it
sees a change of one standard deviation soonest. https://en.wikipedia.org/wiki/CUSUM"""
QUOTA_SHARE, LEAST_QUOTA = 0.01, 20
"""Without a declared quota: a hundredth of the table's labels a day may be contradicted, and LEAST_QUOTA at least."""
SENDERS = 3
"""All senders together may contradict SENDERS times the quota of one: who uses up his own holds up nobody else, and who
takes many names gets no further than SENDERS of them."""
EARLY_SHARE = 0.1
"""Labels that nothing is known of, neither a decision nor an earlier label, wait for their decisions: from a larger
share of the batch on, and of UNIT_LABELS with those before it."""


class BatchFigure(NamedTuple):
    """One figure of a batch: a share of its labels, or a mean."""

    value: float
    rows: int
    is_share: bool = True

    def joined(self, other: BatchFigure) -> BatchFigure:
        rows = self.rows + other.rows
        value = (self.value * self.rows + other.value * other.rows) / rows
        return BatchFigure(value=value, rows=rows, is_share=self.is_share)


class SureAnswers(NamedTuple):
    """Answers of which the model was sure, and how many of them the labels contradict."""

    rows: int
    wrong: int

    @property
    def share(self) -> float:
        return self.wrong / self.rows if self.rows else 0.0

    def chance(self, share: float) -> float:
        """The probability of so many wrong ones or more, if each is wrong with this share. ALIKE rows are one."""
        rows, wrong = self.rows // ALIKE, self.wrong // ALIKE
        logs = (
            math.lgamma(rows + 1)
            - math.lgamma(many + 1)
            - math.lgamma(rows - many + 1)
            + many * math.log(share)
            + (rows - many) * math.log1p(-share)
            for many in range(wrong, rows + 1)
        )
        return sum(map(math.exp, logs))

    def joined(self, other: SureAnswers) -> SureAnswers:
        return SureAnswers(rows=self.rows + other.rows, wrong=self.wrong + other.wrong)


@dataclass(frozen=True, kw_only=True)
class LabelBatch:
    """What is known of a batch of labels before it is learnt."""

    labels: int
    contradicting: int = 0
    """Labels of keys that had another label."""
    contradicted: str = ""
    """Whose labels these are, in words."""
    unanswered: int = 0
    """Labels without a decision and without an earlier label: nothing says whether they are right."""
    figures: Mapping[str, BatchFigure] = field(default_factory=dict)
    """`share of 1`, `mean`, `error`."""
    sure: Mapping[str, SureAnswers] = field(default_factory=dict)
    """By answer, `answer 1`."""
    parts: Mapping[str, SureAnswers] = field(default_factory=dict)
    """By part of the rows, `vicprice up to 0.003`. The worst is kept."""
    by: str = ""
    """Who has sent it, as the object's metadata say; empty if they do not."""
    accepted_by: str = ""
    """Who has accepted it after it was held."""

    @classmethod
    def parse(cls, note: str) -> LabelBatch:
        """The batch of a note."""
        return _ADAPTER.validate_json(note)

    def note(self) -> str:
        """The batch as JSON, for the summary of its snapshot; without what is empty."""
        kept = replace(self, sure={**self.sure, **self._worst}, parts={}, contradicted="")
        return _ADAPTER.dump_json(kept, exclude_defaults=True).decode()

    @property
    def _worst(self) -> Mapping[str, SureAnswers]:
        worst = min(self.parts.values(), key=lambda one: one.chance(SURE_WRONG), default=None)
        return {WORST: worst} if worst and worst.wrong else {}

    def __add__(self, other: LabelBatch) -> LabelBatch:
        return replace(
            self,
            labels=self.labels + other.labels,
            unanswered=self.unanswered + other.unanswered,
            figures=_merged(self.figures, other.figures),
            sure=_merged(self.sure, other.sure),
        )


_ADAPTER = TypeAdapter(LabelBatch)


def judge_batch(
    batch: LabelBatch, earlier: Sequence[LabelBatch], *, rate: float, today: int, quota: int, others: int = 0
) -> tuple[str, ...]:
    """Why the batch is held, a sentence for each reason; () if it may be learnt.

    `earlier` are the batches that were learnt, the oldest first. A batch that is like them is held with a probability
    of `rate` at most. `today` is how many labels of the sender have contradicted known ones in the last 24 hours, and
    `others` how many of other senders."""
    if not batch.labels:
        return ()
    contradicts: tuple[str, ...] = ()
    beyond = today + batch.contradicting > quota or today + others + batch.contradicting > SENDERS * quota
    if batch.contradicting and beyond:
        before = f", {today} of this sender and {others} of others that day before" if today or others else ""
        contradicts = (
            f"{batch.contradicting} of {batch.labels} labels contradict known ones{batch.contradicted}{before}; "
            f"{quota} of a sender may",
        )
    near, unit = (_together(batch, earlier, least) for least in (LEAST_LABELS, UNIT_LABELS))
    return (
        *contradicts,
        *(_sure(near, batch, earlier, rate / 4) or _sure(unit, batch, earlier, rate / 4)),
        *_unusual(unit, _units(earlier), rate / 4),
        *_adds_up([*earlier, batch], rate / 4),
    )


def is_early(batch: LabelBatch, earlier: Sequence[LabelBatch]) -> bool:
    """Whether so many of the labels are known to nobody that the batch waits for their decisions.

    Those before it count as far as they fill UNIT_LABELS: a large batch hides none that comes after it. As many as most
    of the newest LEAST_BATCHES had are usual, so that a person has accepted them again and again."""
    shares = [0.0] * LEAST_BATCHES + [one.unanswered / max(1, one.labels) for one in _units(earlier)]
    share = max(EARLY_SHARE, median_low(shares[-LEAST_BATCHES:]))
    early, room = float(batch.unanswered), UNIT_LABELS - batch.labels
    for before in reversed(earlier):
        if room <= 0 or before.accepted_by:
            break
        early += before.unanswered * min(1.0, room / max(1, before.labels))
        room -= before.labels
    return batch.unanswered > share * batch.labels and early > share * max(batch.labels, UNIT_LABELS)


def quota_of(declared: int | None, known: int) -> int:
    """How many labels of a day may contradict known ones; `known` is how many labels the table has."""
    return max(LEAST_QUOTA, int(QUOTA_SHARE * known)) if declared is None else declared


def _together(batch: LabelBatch, earlier: Sequence[LabelBatch], least: int) -> LabelBatch:
    """The batch with the newest ones before it, until they have so many labels.

    What a person has accepted is not judged again."""
    for before in reversed(earlier):
        if batch.labels >= least or before.accepted_by:
            break
        batch += before
    return batch


def _units(batches: Sequence[LabelBatch]) -> Iterator[LabelBatch]:
    """The batches, neighbours together until they have UNIT_LABELS. One that a person has accepted is one alone."""
    unit: LabelBatch | None = None
    for batch in batches:
        if batch.accepted_by:
            yield batch
            continue
        unit = batch if unit is None else unit + batch
        if unit.labels >= UNIT_LABELS:
            yield unit
            unit = None


def _sure(judged: LabelBatch, batch: LabelBatch, earlier: Sequence[LabelBatch], rate: float) -> tuple[str, ...]:
    """The answers, or the part of the rows, whose sure answers the labels contradict more than in recent batches."""
    accepted = [one for one in earlier if one.accepted_by]
    answers = {name: one for name, one in judged.sure.items() if name not in (WORST, EVERY)}
    whole = {"all": reduce(SureAnswers.joined, answers.values())} if answers else {}
    every = {EVERY: judged.sure[EVERY]} if EVERY in judged.sure else {}
    for looked_at in ({**every, **whole, **answers}, batch.parts):
        for name, one in looked_at.items():
            known = WORST if looked_at is batch.parts else name
            if one.chance(_worst_share(accepted, known)) <= rate / 2 / len(looked_at):
                return (f"{one.wrong} of {one.rows} labels contradict answers of the model ({name})",)
    return ()


def _worst_share(accepted: Sequence[LabelBatch], name: str) -> float:
    """The largest share of contradicted sure answers that is no news: a person has accepted it."""
    shares = [EVEN if name == EVERY else SURE_WRONG]
    for batch in accepted:
        answers = [
            one for key, one in batch.sure.items() if key == name or (name == "all" and key not in (WORST, EVERY))
        ]
        if answers:
            shares.append(reduce(SureAnswers.joined, answers).share)
    return min(max(shares), MOST_WRONG)


def _unusual(judged: LabelBatch, units: Iterator[LabelBatch], rate: float) -> Iterator[str]:
    """The figures that are farther from those of earlier batches than theirs are from each other."""
    if judged.labels < UNIT_LABELS:
        return
    known = [*units][-MOST_BATCHES:]
    for name, figure in judged.figures.items():
        before = [one.figures[name] for one in known if name in one.figures]
        if len(before) < LEAST_BATCHES:
            continue
        mean = sum(one.value for one in before) / len(before)
        reach = _reach(figure, before, mean, rate / len(judged.figures))
        if abs(figure.value - mean) > reach:
            low, high = mean - reach, mean + reach
            yield f"{name}: {figure.value:.3g}; {low:.3g} to {high:.3g} by {len(before)} earlier batches"


def _reach(figure: BatchFigure, before: Sequence[BatchFigure], mean: float, rate: float) -> float:
    """How far a batch like those before may be from their mean: the interval of Student's t for one more of them.

    A smaller batch may be farther off than larger ones, by what chance adds."""
    count, rows = len(before), sum(one.rows for one in before) / len(before)
    variance = sum((one.value - mean) ** 2 for one in before) / (count - 1)
    # Of shares also what chance alone makes of so many rows; batches that were all alike may be so by luck.
    if figure.is_share:
        least = 1 / (rows * count)
        inside = min(max(mean, least), 1 - least)
        coin = inside * (1 - inside)
        variance = max(variance, coin / rows) + max(0.0, coin / figure.rows - coin / rows)
    else:
        variance *= max(1.0, rows / figure.rows)
    reach = student(1 - rate / 2, count - 1) * math.sqrt(variance * (1 + 1 / count))
    return max(reach, FARTHER * max(abs(one.value - mean) for one in before))


def _adds_up(batches: Sequence[LabelBatch], rate: float) -> Iterator[str]:
    """Whether the error adds up with the last of the batches: by a self-starting CUSUM of units of UNIT_LABELS.

    https://doi.org/10.2307/2348827 (Hawkins, 1987)"""
    units = [one for one in _units(batches) if ERROR in one.figures]
    before: list[float] = []
    count = 0.0
    for unit in units:
        error = unit.figures[ERROR]
        if unit.accepted_by:
            # A person says that the labels are right: the level is theirs from now on.
            moved = error.value - sum(before) / len(before) if before else 0.0
            before, count = [value + max(0.0, moved) for value in before], 0.0
        elif len(before) >= LEAST_BATCHES:
            count = max(0.0, count + _deviation(error, before) - SLACK)
        before.append(error.value)
    if count > bound_of(rate):
        mean = sum(before) / len(before)
        yield f"error: above its mean of {mean:.3g} for long, {units[-1].figures[ERROR].value:.3g} now"


def _deviation(error: BatchFigure, before: Sequence[float]) -> float:
    """By how many standard deviations the error is above those before, as if these were normal and exactly known."""
    count, mean = len(before), sum(before) / len(before)
    variance = sum((value - mean) ** 2 for value in before) / (count - 1)
    if error.is_share:
        variance = max(variance, mean * (1 - mean) * ALIKE / error.rows)
    t = (error.value - mean) / math.sqrt(max(variance, math.ulp(1.0)) * (1 + 1 / count))
    free = count - 1
    # Wallace's transformation of Student's t: https://doi.org/10.1214/aoms/1177706152
    z = (8 * free + 1) / (8 * free + 3) * math.sqrt(free * math.log1p(t**2 / free))
    return math.copysign(z, t)


@lru_cache(maxsize=8)
def bound_of(rate: float) -> float:
    """The count that batches without a change exceed once in 1 / `rate`, by Siegmund's approximation.

    https://doi.org/10.1007/978-1-4757-1862-1 (Sequential Analysis, 1985)"""
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        reach = 2 * SLACK * (middle + 1.166)
        runs = (math.exp(reach) - reach - 1) / (2 * SLACK**2)
        low, high = (middle, high) if runs < 1 / rate else (low, middle)
    return high


One = TypeVar("One", BatchFigure, SureAnswers)


def _merged(first: Mapping[str, One], second: Mapping[str, One]) -> dict[str, One]:
    both = {name: first[name].joined(second[name]) for name in first if name in second}
    return {**first, **second, **both}
