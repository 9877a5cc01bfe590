"""Judges drops of labels before they are learnt: a batch that does not fit what is known waits for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.contract.schema import PREDICTION_ID
from millrace.datasets.journal import Journal
from millrace.datasets.label_change import count_contradicting
from millrace.datasets.label_evidence import Answers, error_figure, label_figures, sure_answers, sure_parts
from millrace.datasets.notes import ARRIVAL, LABELS
from millrace.datasets.tables import Lake
from millrace.decisions.store import read_days
from millrace.messages.ingest import DropObject, ParsedDrop, cut
from millrace.monitoring.label_batch import Figure, LabelBatch, judge_batch, quota_of
from millrace.state.held_labels import HeldBatch, HeldLabels
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import CONFIDENCE

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable

    from millrace.workload.declaration import Workload

MOST_DAYS, MOST_SCORED = 5, 2000
"""The most days of decisions that are read beside a batch, spread over its time, and about how many rows of each scored
file: a batch of a month costs as few calls as one of a week."""
REMEMBERED = 2000
"""The newest batches that are looked at, of one label too."""
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class JudgedBatch:
    """A drop of labels with what was found."""

    batch: LabelBatch
    held_for: str = ""
    """Why it is held; empty if it may be learnt."""

    @property
    def notes(self) -> dict[str, str]:
        """The note of the snapshot by which it is learnt."""
        return {LABELS: self.batch.note()}


class LabelJudge:
    """Judges the drops of one workload."""

    def __init__(self, lake: Lake, workload: Workload, s3: Any, held: HeldLabels) -> None:
        """`s3` is boto3's client."""
        self._lake, self._workload, self._s3, self._held = lake, workload, s3, held

    def judge(self, drops: Sequence[tuple[ParsedDrop, DropObject | None, Path]]) -> dict[str, JudgedBatch]:
        """By drop id; each drop is compared with those before it too. A drop that the table has already is left out.

        Each comes with its object and its file of typed rows."""
        rate = self._workload.monitors.held_labels
        if rate is None:
            return {}
        found = {name: self._lake.find(name) for name in ("labels", "rows")}
        tables = {name: table for name, table in found.items() if table is not None and table.current_snapshot()}
        journal = Journal.of(tables["labels"]) if "labels" in tables else None
        learnt = list(_learnt(journal)) if journal else []
        known = sum(batch.labels for _, batch in learnt)
        judged: dict[str, JudgedBatch] = {}
        for drop, named, parsed in drops:
            # A repeated call: the drop is in the table, and is not compared with itself.
            if journal and any(entry.written_by == drop.drop_id for entry in journal.with_digest(drop.source_digest)):
                continue
            batch = replace(self._describe(parsed, [*tables.values()]), by=drop.by)
            earlier = self._held.find(drop.drop_id)
            if earlier and earlier.status == "accepted":
                judged[drop.drop_id] = JudgedBatch(batch=replace(batch, accepted_by=earlier.by))
            else:
                since = drop.as_of - DAY
                today = sum(one.contradicting for at, one in learnt if at > since and not one.accepted_by)
                quota = quota_of(self._workload.monitors.corrections_a_day, known)
                because = judge_batch(batch, [one for _, one in learnt], rate=rate, today=today, quota=quota)
                if because:
                    self._hold(drop, named, batch, because)
                judged[drop.drop_id] = JudgedBatch(batch=batch, held_for=cut("; ".join(because)))
            if not judged[drop.drop_id].held_for:
                learnt.append((drop.as_of, judged[drop.drop_id].batch))
        return judged

    def _hold(self, drop: ParsedDrop, named: DropObject | None, batch: LabelBatch, because: tuple[str, ...]) -> None:
        version = drop.source.rpartition("?versionId=")[2]
        known = named or DropObject(key=drop.source_key)
        held = known.model_copy(update={"version_id": version, "drop_id": drop.drop_id, "as_of": drop.as_of})
        self._held.hold(HeldBatch(object=held, because=because, labels=batch.labels, held_at=drop.as_of))

    def _describe(self, parsed: Path, tables: Sequence[IcebergTable]) -> LabelBatch:
        """What the drop says, and how that fits the labels of the tables and the decisions."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        spec = self._workload.prediction
        columns = dict.fromkeys([*spec.key, spec.event_time, PREDICTION_ID, *spec.label_columns])
        rows = pq.read_table(parsed, columns=[name for name in columns if name in pq.read_schema(parsed).names])
        for name in spec.label_columns:
            rows = rows.filter(pc.is_valid(rows[name]))
        if not rows.num_rows:
            return LabelBatch(labels=0)
        figures: dict[str, Figure] = {}
        for name in spec.label_columns:
            figures |= label_figures(name, rows[name].to_pylist())
        answers = self._answers(rows)
        return LabelBatch(
            labels=rows.num_rows,
            contradicting=count_contradicting(tables, rows, spec.key, spec.label_columns),
            figures=figures | (error_figure(answers) if answers else {}),
            sure=sure_answers(answers) if answers else {},
            parts=sure_parts(answers) if answers else {},
        )

    def _answers(self, rows: pa.Table) -> Answers | None:
        """The answers to the labelled rows of some days; None if the labels do not say which days these are."""
        import numpy as np

        from millrace.decisions.outcome_columns import join_decisions

        spec, contract = self._workload.prediction, self._lake.contract
        if contract.labels.column(spec.event_time).is_generated:
            return None
        labels = [label for label in rows.to_pylist() if label[spec.event_time] is not None]
        days = sorted({_row_day(label[spec.event_time], spec.horizons[0]) for label in labels})
        chosen = {days[place] for place in np.linspace(0, len(days) - 1, min(len(days), MOST_DAYS)).astype(int)}
        bucket, workload = self._lake.names.platform.bucket("lake"), self._lake.names.workload
        stored = read_days(self._s3, bucket, workload, chosen, most_scored=MOST_SCORED)
        if not stored.decisions:
            return None
        task = tasks.declare(spec, contract.rows.column(spec.label_columns[0]))
        outcomes = join_decisions(stored.decisions, labels, prediction_spec=spec, table=contract.labels, task=task)
        told = [one for one in outcomes if one.error is not None]
        inputs = [json.loads(one.decision.input) for one in told]
        names = [name for name in (inputs[0] if inputs else ()) if name not in (*spec.key, spec.event_time)]
        return Answers(
            answer=[str(one.decision.value) for one in told],
            error=np.array([one.error for one in told], np.float64),
            is_share=task.error_is_share,
            confidence=np.array([one.decision.output.get(CONFIDENCE) or np.nan for one in told], np.float64),
            columns={name: [cells.get(name) for cells in inputs] for name in names},
        )


def _learnt(journal: Journal) -> list[tuple[datetime, LabelBatch]]:
    """The newest batches of the table with their arrival, the oldest first."""
    found: list[tuple[datetime, LabelBatch]] = []
    for entry in journal.newest():
        if len(found) == REMEMBERED:
            break
        if LABELS in entry.notes and entry.rows_added:
            found.append((datetime.fromisoformat(entry.notes[ARRIVAL]), LabelBatch.parse(entry.notes[LABELS])))
    return found[::-1]


def _row_day(at: datetime, horizon_hours: float) -> Any:
    """The day of the row whose label lies at this time."""
    return (at - timedelta(hours=horizon_hours)).date()
