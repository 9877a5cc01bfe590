"""Whether a batch of labels is learnt, or held for a person: it is compared with earlier batches and with the model.

    contradictions   more labels than the day's quota have another value than known ones
    sure             the labels contradict what the model was sure of: all answers, those of a class, or of a part
    usual            a class's share, the labels' mean or the model's error is farther off than batches are

A real change of the world looks like that too. Then a person accepts the batch, and it counts as usual from then on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

from millrace.evaluation.reuse import student

LEAST_LABELS, UNIT_LABELS = 48, 200
"""A batch with fewer labels is judged together with the batches before it: until they have LEAST_LABELS for the sure
answers, and UNIT_LABELS for what is usual. So many small batches get no further than a large one."""
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
"""A larger share of sure answers is not wrong by chance: of calibrated ones at most a tenth is. After batches with a
larger one, that counts, up to MOST_WRONG."""
RECENT = 20
"""The newest batches whose contradictions are no news: a person has accepted them, or the model errs so by now."""
EVEN, EVERY = 0.5, "every answer"
"""Of the answers with a confidence of EVEN or more at most so many are wrong, whatever the model. This sees labels that
are turned around where a model is rarely sure."""
WORST = "worst part"
"""The part of the rows whose sure answers are contradicted most, as later batches know it."""
QUOTA_SHARE, LEAST_QUOTA = 0.01, 20
"""Without a declared quota: a hundredth of the table's labels a day may be contradicted, and LEAST_QUOTA at least."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a batch: a share of its labels, or a mean."""

    value: float
    rows: int
    is_share: bool = True

    def __add__(self, other: Figure) -> Figure:
        rows = self.rows + other.rows
        value = (self.value * self.rows + other.value * other.rows) / rows
        return Figure(value=value, rows=rows, is_share=self.is_share)


@dataclass(frozen=True, kw_only=True)
class SureAnswers:
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

    def __add__(self, other: SureAnswers) -> SureAnswers:
        return SureAnswers(rows=self.rows + other.rows, wrong=self.wrong + other.wrong)


@dataclass(frozen=True, kw_only=True)
class LabelBatch:
    """What is known of a batch of labels before it is learnt."""

    labels: int
    contradicting: int = 0
    """Labels of keys that had another label."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
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
    def parse(cls, note: str) -> Self:
        """The batch of a note."""
        kept = json.loads(note)
        return cls(
            labels=kept["labels"],
            contradicting=kept.get("contradicting", 0),
            figures={
                name: Figure(value=value, rows=rows, is_share=is_share)
                for name, (value, rows, is_share) in kept.get("figures", {}).items()
            },
            sure={name: SureAnswers(rows=rows, wrong=wrong) for name, (rows, wrong) in kept.get("sure", {}).items()},
            by=kept.get("by", ""),
            accepted_by=kept.get("accepted_by", ""),
        )

    def note(self) -> str:
        """The batch as JSON, for the summary of its snapshot; without what is empty."""
        figures = {name: (round(one.value, 6), one.rows, one.is_share) for name, one in self.figures.items()}
        kept = {
            "labels": self.labels,
            "contradicting": self.contradicting,
            "figures": figures,
            "sure": {name: (one.rows, one.wrong) for name, one in {**self.sure, **self._worst}.items()},
            "by": self.by,
            "accepted_by": self.accepted_by,
        }
        return json.dumps({name: value for name, value in kept.items() if value or name == "labels"})

    @property
    def _worst(self) -> Mapping[str, SureAnswers]:
        worst = min(self.parts.values(), key=lambda one: one.chance(SURE_WRONG), default=None)
        return {WORST: worst} if worst and worst.wrong else {}

    def __add__(self, other: LabelBatch) -> LabelBatch:
        return replace(
            self,
            labels=self.labels + other.labels,
            figures=_merged(self.figures, other.figures),
            sure=_merged(self.sure, other.sure),
        )


def judge_batch(
    batch: LabelBatch, earlier: Sequence[LabelBatch], *, rate: float, today: int, quota: int
) -> tuple[str, ...]:
    """Why the batch is held, a sentence for each reason; () if it may be learnt.

    `earlier` are the batches that were learnt, the oldest first. A batch that is like them is held with a probability
    of `rate` at most. `today` is how many labels of the last 24 hours have contradicted known ones."""
    contradicts: tuple[str, ...] = ()
    if batch.contradicting and today + batch.contradicting > quota:
        before = f", {today} of the same day before" if today else ""
        contradicts = (f"{batch.contradicting} of {batch.labels} labels contradict known ones{before}; {quota} may",)
    near = _together(batch, earlier, LEAST_LABELS)
    unit = _together(batch, earlier, UNIT_LABELS)
    return (*contradicts, *_sure(near, batch, earlier[-RECENT:], rate / 2), *_unusual(unit, _units(earlier), rate / 2))


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
    """The batches, neighbours together until they have UNIT_LABELS."""
    unit: LabelBatch | None = None
    for batch in batches:
        unit = batch if unit is None else unit + batch
        if unit.labels >= UNIT_LABELS:
            yield unit
            unit = None


def _sure(judged: LabelBatch, batch: LabelBatch, recent: Sequence[LabelBatch], rate: float) -> tuple[str, ...]:
    """The answers, or the part of the rows, whose sure answers the labels contradict more than in recent batches."""
    answers = {name: one for name, one in judged.sure.items() if name not in (WORST, EVERY)}
    whole = {"all": sum(answers.values(), SureAnswers(rows=0, wrong=0))} if answers else {}
    every = {EVERY: judged.sure[EVERY]} if EVERY in judged.sure else {}
    for looked_at in ({**every, **whole, **answers}, batch.parts):
        for name, one in looked_at.items():
            known = WORST if looked_at is batch.parts else name
            if one.chance(_worst_share(recent, known)) <= rate / 2 / len(looked_at):
                return (f"{one.wrong} of {one.rows} labels contradict answers of the model ({name})",)
    return ()


def _worst_share(recent: Sequence[LabelBatch], name: str) -> float:
    """The largest share of contradicted sure answers that is no news."""
    shares = [EVEN if name == EVERY else SURE_WRONG]
    for batch in recent:
        answers = [
            one for key, one in batch.sure.items() if key == name or (name == "all" and key not in (WORST, EVERY))
        ]
        if answers:
            shares.append(sum(answers, SureAnswers(rows=0, wrong=0)).share)
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


def _reach(figure: Figure, before: Sequence[Figure], mean: float, rate: float) -> float:
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


One = TypeVar("One", Figure, SureAnswers)


def _merged(first: Mapping[str, One], second: Mapping[str, One]) -> dict[str, One]:
    both = {name: first[name] + second[name] for name in first if name in second}
    return {**first, **second, **both}
