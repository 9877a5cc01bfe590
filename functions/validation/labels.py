"""Judges drops of labels before they are learnt: a batch that does not fit what is known waits for a person."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.datasets import label_evidence
from millrace.datasets.journal import Journal
from millrace.datasets.label_change import compare_known
from millrace.datasets.labels import places
from millrace.datasets.new_rows import extremes, rows_within
from millrace.datasets.notes import LABELS, WITHDRAWN_DROP
from millrace.datasets.tables import Lake
from millrace.decisions.columns import ColumnShape, read_parts
from millrace.decisions.labelled import SHAPE, LabelledDecisions
from millrace.decisions.outcome_columns import decisions_of, join, times_of
from millrace.decisions.review import doubted_labels
from millrace.decisions.scored import EPOCH, MOST_ROWS
from millrace.messages.ingest import ParsedDrop, cut
from millrace.monitoring.label_batch import ERROR, BatchFigure, LabelBatch, is_early, judge_batch, quota_of
from millrace.state.held_drops import DAY, Contradiction, HeldDrop
from millrace.state.table import StateTable
from millrace.tasks import catalogue as tasks
from millrace.timestamps import MICROSECOND
from millrace.workload.declaration import Workload

LOOKS, MOST_SCORED = (5, 31), 2000
"""The most days of decisions that are read beside a batch, and about how many rows of each scored file. More days are
read where the few speak against the batch: a model errs for days on end, and of a month that fits, one draw in a
hundred does not."""
MOST_LABELS = 5 * 285_000
"""So many labels are compared in the memory of a function: of more, fewer days are looked at."""
EARLY = "about {batch.unanswered} of {batch.labels} labels are of no known decision: they wait for it, or for a person"
REMEMBERED = 2000
"""The newest batches that are looked at, of one label too."""


@dataclass(frozen=True, kw_only=True)
class JudgedDrop:
    """A drop with what was found before it enters its table."""

    because: tuple[str, ...] = ()
    """Why it is held, a sentence for each reason; () if it may be learnt."""
    rows: int = 0
    batch: LabelBatch | None = None
    """Of labels, what they say."""
    is_early: bool = False
    """Whether it is held until its decisions come."""
    told: HeldDrop | None = None
    """As it was held before, if people have been told of it."""

    @property
    def held_for(self) -> str:
        """The reasons together, as the state of the machine may have them; of a refused drop the person's."""
        return cut(
            f"{self.told.by}: {self.told.reason}" if self.told and self.held == "refused" else "; ".join(self.because)
        )

    @property
    def held(self) -> Literal["held", "again", "refused"]:
        """As `Committed.held`."""
        return "held" if self.told is None else "refused" if self.told.status == "refused" else "again"


class LabelJudge:
    """Judges the drops of labels of one call, each beside those before it too."""

    def __init__(self, lake: Lake, workload: Workload, s3: Any, state: StateTable, *, rate: float) -> None:
        """`s3` is boto3's client. A batch that is like the earlier ones is held with a probability of `rate`."""
        self._lake, self._workload, self._s3 = lake, workload, s3
        self._state, self._rate = state, rate
        found = {name: lake.find(name) for name in ("labels", "rows")}
        self._tables = {name: one for name, one in found.items() if one is not None and one.current_snapshot()}
        self.journal = Journal.of(self._tables["labels"]) if "labels" in self._tables else None
        self._learnt = _learnt(self.journal) if self.journal else []
        self._quota = quota_of(workload.monitors.corrections_a_day, sum(one.labels for one in self._learnt))
        self._together: list[pa.Table] = []

    def judge(self, drop: ParsedDrop, rows: pa.Table, *, accepted_by: str) -> JudgedDrop:
        """What the labels say, and whether they may be learnt; a person's word counts.

        The `rows` keep the contract, and have each key once."""
        quota, columns = max(self._quota, self._doubted(drop)), self._workload.prediction.label_columns
        rows = rows.filter(reduce(pc.and_, (pc.is_valid(rows[name]) for name in columns)))
        for look in self._describe(rows, seed=drop.drop_id):
            batch = replace(look, by=drop.by, accepted_by=accepted_by)
            became = JudgedDrop(batch=batch, rows=batch.labels)
            if not accepted_by:
                became = self._judge(drop, batch, quota=quota)
            if not became.because or became.is_early:
                break
        if not became.because:
            self._learnt.append(batch)
            self._together.append(rows)
        return became

    def _doubted(self, drop: ParsedDrop) -> int:
        """How many labels people are asked to correct a day, for a drop of such corrections."""
        policy, folder = self._workload.policy, doubted_labels(self._workload.name)
        return (policy.label_errors_a_day or 0) if policy and drop.source_key.startswith(folder) else 0

    def _judge(self, drop: ParsedDrop, batch: LabelBatch, *, quota: int) -> JudgedDrop:
        """What is found of the batch. What it takes of the day's quota is taken, if it may be learnt."""
        if is_early(batch, self._learnt):
            return JudgedDrop(batch=batch, rows=batch.labels, because=(EARLY.format(batch=batch),), is_early=True)
        mine = Contradiction(drop_id=drop.drop_id, by=batch.by, labels=batch.contradicting, at=drop.as_of)

        def judge(day: Collection[Contradiction]) -> tuple[str, ...]:
            today = sum(one.labels for one in day if one.by == batch.by)
            others = sum(one.labels for one in day) - today
            return judge_batch(batch, self._learnt, rate=self._rate, today=today, others=others, quota=quota)

        because = mine.take(self._state, judge) if mine.labels else judge(())
        return JudgedDrop(batch=batch, rows=batch.labels, because=because)

    def _describe(self, rows: pa.Table, *, seed: str) -> Iterator[LabelBatch]:
        """What the labels say that is new, and how that fits those before and the decisions: of a few days, then of
        more.

        A label that is known already, or that is refused, says nothing: else it would hide others."""
        spec = self._workload.prediction
        before = [*reversed(self._together), *self._tables.values()] if rows.num_rows else ()
        known = compare_known(before, rows, spec.key, spec.label_columns)
        is_news = ~known.known | known.contradicts
        rows, contradicts = rows.filter(pa.array(is_news)), known.contradicts[is_news]
        figures: dict[str, BatchFigure] = {}
        for name in spec.label_columns:
            figures |= label_evidence.label_figures(name, rows[name].to_pylist())
        for answers, unanswered in self._answers(rows, contradicts, seed=seed):
            yield LabelBatch(
                labels=rows.num_rows,
                contradicting=int(contradicts.sum()),
                contradicted=_whose(known.sources, self.journal),
                unanswered=unanswered,
                figures=figures | (label_evidence.error_figure(answers) if answers else {}),
                sure=label_evidence.sure_answers(answers) if answers else {},
                parts=label_evidence.sure_parts(answers) if answers else {},
            )

    def _answers(
        self, rows: pa.Table, contradicts: npt.NDArray[np.bool_], *, seed: str
    ) -> Iterator[tuple[label_evidence.KnownAnswers | None, int]]:
        """The answers to the labelled rows of some days, and how many of all labels probably have neither one nor an
        earlier label; None and 0 if the labels do not say which days these are.

        The days are drawn by the drop's id, which S3 chooses: nobody knows before which labels are looked at."""
        spec, contract = self._workload.prediction, self._lake.contract
        if contract.labels.column(spec.event_time).generated or not rows.num_rows:
            yield None, 0
            return
        times, has_time = times_of(rows, spec.event_time)
        labels, is_known_L = rows.filter(pa.array(has_time)), contradicts[has_time]
        day_L = (times[has_time] - timedelta(hours=spec.horizons[0]) // MICROSECOND) // (DAY // MICROSECOND)
        days, task = np.unique(day_L).tolist(), tasks.declare(spec, contract.rows.column(spec.label_columns[0]))
        shape = ColumnShape(cells={}, answer=task.answer)
        joined: dict[str, Any] = {"prediction_spec": spec, "table": contract.labels}
        bucket, workload = self._lake.names.platform.bucket("lake"), self._lake.names.workload
        room = max(LOOKS[0], MOST_LABELS * len(days) // max(len(labels), 1))
        for many in sorted({min(len(days), room, look) for look in LOOKS}):
            drawn, has_files = random.Random(seed).sample(days, many), False  # noqa: S311 # nosec B311
            near_L, chosen = np.isin(day_L, drawn), {EPOCH + number * DAY for number in drawn}
            with TemporaryDirectory() as folder:
                found = LabelledDecisions(labels, **joined, folder=Path(folder), shape=shape, hours=spec.horizons)
                for part in read_parts(self._s3, bucket, workload, chosen, shape=shape, most_scored=MOST_SCORED):
                    has_files = has_files or "batch" in part.column("source").unique().to_pylist()
                    found.add(part)
                read = found.known()
                new = labels.filter(pa.array(near_L & ~is_known_L))
                # A label at a horizon belongs to rows of several days, and later rows are its truth.
                early = 0 if spec.horizon_hours else self._count_early(self._without_row(new), chosen, read, has_files)
                outcomes = join(read, labels, **joined, task=task)
                names = (*spec.key, spec.event_time)
                answers = label_evidence.answers_of(outcomes, found.inputs, is_share=task.error_is_share, but_of=names)
            yield answers, round(early * len(labels) / near_L.sum()) if near_L.any() else 0

    def _without_row(self, labels: pa.Table) -> pa.Table:
        """These labels without those of rows that the table has: a row that waits for its label gets it."""
        rows, key = self._lake.find("rows"), self._workload.prediction.key
        if rows is None or rows.current_snapshot() is None or not labels.num_rows:
            return labels
        found = rows_within(rows, key[0], extremes(labels, key[0]), key, but_of="")
        return labels.filter(pa.array(places(labels, found, key) < 0))

    def _count_early(self, labels: pa.Table, days: Collection[date], read: pa.Table, has_files: bool) -> int:
        """How many of these labels, all of these days, have no decision; some of the decisions have been `read`.

        `has_files`: whether some were in scored files."""
        if not labels.num_rows:
            return 0
        spec, table = self._workload.prediction, self._lake.contract.labels
        place_L = decisions_of(read, labels, prediction_spec=spec, table=table)
        labels = labels.filter(pa.array(place_L < 0))
        # All requests were read, and of a scored file some rows.
        if not labels.num_rows or not has_files:
            return int(labels.num_rows)
        bucket, workload = self._lake.names.platform.bucket("lake"), self._lake.names.workload
        with TemporaryDirectory() as folder:
            found = LabelledDecisions(labels, prediction_spec=spec, table=table, folder=Path(folder))
            for part in read_parts(
                self._s3, bucket, workload, days, shape=SHAPE, most_scored=MOST_ROWS, wanted=found.in_file
            ):
                found.add(part)
            return int(labels.num_rows) - sum(map(len, found.parts()))


def _learnt(journal: Journal) -> list[LabelBatch]:
    """The newest batches of the table, the oldest first; without those of drops that were withdrawn."""
    learnt: list[LabelBatch] = []
    withdrawn = set[str]()
    for entry in journal.newest():
        if len(learnt) == REMEMBERED:
            break
        if WITHDRAWN_DROP in entry.notes:
            withdrawn.add(entry.notes[WITHDRAWN_DROP])
        elif LABELS in entry.notes and entry.rows_added and entry.key not in withdrawn:
            learnt.append(LabelBatch.parse(entry.notes[LABELS]))
    return learnt[::-1]


def _whose(sources: Mapping[str, int], journal: Journal | None) -> str:
    """` of electricity/labels/may.csv, sent by ann, which were never compared with decisions`; empty for none."""
    if not sources:
        return ""
    key = max(sources, key=lambda one: sources[one])
    notes = [entry.notes[LABELS] for entry in journal.about(key) if LABELS in entry.notes] if journal else []
    batch = LabelBatch.parse(notes[-1]) if notes else LabelBatch(labels=0)
    sent = f", sent by {batch.by}" if batch.by else ""
    unseen = "" if ERROR in batch.figures else ", which were never compared with decisions"
    return f" of {key}{sent}{unseen}"
