"""Gathers the facts for the guard's decision, from state, tables and request, and answers with them.

Labels are counted by the metadata of Iceberg tables: two or three requests to AWS, and no row is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime

from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.label_rows import count_labels_since
from millrace.datasets.notes import LABELS_SNAPSHOT, REPLACED, WITHDRAWN_DROP
from millrace.datasets.tables import Lake
from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import StepInput
from millrace.messages.retrain import RetrainingDecided, RetrainingEvidence, RetrainInput
from millrace.monitoring.retraining_policy import RetrainingDecision, RetrainingFacts, labels_wanted
from millrace.names import hash_of_run
from millrace.settings.environment import Environment
from millrace.state.budget import MonthlyBudget
from millrace.state.retraining import LastRetraining
from millrace.state.versions import ChangeStarts
from millrace.timestamps import month
from millrace.workload.declaration import Retraining
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages


def gather(call: StepInput[RetrainInput], room: WorkloadRoom[Environment], lake: Lake) -> RetrainingFacts:
    """The facts for the request, at its `as_of`."""
    prediction, as_of = room.workload.prediction, call.state.as_of
    champion, last, new_rows = room.pointers.champion(), LastRetraining.read(room.state), 0
    alarms = call.state.detail.names(f"{room.names.prefix}-")
    since = None
    if champion and call.state.trigger != "command":
        since = drifted_since(room, champion.version, alarms)
    if champion:
        # A run pins its snapshot under its own name as a tag. The last retraining started its `train` execution under a
        # name that begins with the hash of its own.
        runs = [champion.run, *([hash_of_run(last.execution_arn.rpartition(":")[2])] if last.execution_arn else [])]
        new_rows = count_new_rows(lake, runs=runs, lies_ahead=bool(prediction.horizon_hours))
    return RetrainingFacts(
        as_of=as_of,
        trigger=call.state.trigger,
        execution_arn=call.execution_arn,
        alarms=alarms,
        has_champion=champion is not None,
        lease=room.leases.find("retrain"),
        last=last,
        labels_total=count_labels(lake),
        new_rows=new_rows,
        drifted_since=since,
        drifted_labels=count_labels_since(lake, prediction, since) if since else 0,
        spent_usd=float(MonthlyBudget(room.state).spent_usd(as_of)),
        projected_usd=projected_usd(usages(room.workload, room.settings.stage)),
    )


def drifted_since(room: WorkloadRoom[Environment], version: str, alarms: tuple[str, ...]) -> datetime | None:
    """The start of the first window above its bound, by these alarms; without any, by those that start a retraining."""
    policy = room.workload.retraining
    if not policy.drifted_labels:
        return None
    known = ChangeStarts.find(room.state, version)
    starts = known.since if known else {}
    return min((since for alarm, since in starts.items() if alarm in (alarms or policy.alarms)), default=None)


def decided(facts: RetrainingFacts, decision: RetrainingDecision, policy: Retraining) -> RetrainingDecided:
    """The decision as a message, for the machine's state, the event and the audit table."""
    return RetrainingDecided(
        **asdict(decision),
        accepted=decision.accepted,
        trigger=facts.trigger,
        evidence=RetrainingEvidence(
            as_of=facts.as_of,
            last_started_at=facts.last.started_at,
            new_labels=facts.new_labels,
            drifted_since=facts.drifted_since,
            drifted_labels=facts.drifted_labels,
            labels_wanted=labels_wanted(facts, policy),
            runs_this_month=facts.last.runs_in(month(facts.as_of)),
            spent_usd=round(facts.spent_usd, 2),
            projected_usd=round(facts.projected_usd, 2),
        ),
    )


def count_labels(lake: Lake) -> int:
    """The number of rows in the current snapshot of the labels, without labels of keys that had one before, and without
    those that came before their decision.

    So neither a correction is a new label, nor one that nothing was compared with. 0 without a table or a snapshot."""
    labels = lake.find("labels")
    current = labels.current_snapshot() if labels is not None else None
    if labels is None or current is None:
        return 0
    gone = _by_drop(Journal.of(labels), lambda entry: entry.labelled_before + entry.unanswered)
    return JournalEntry.of(current).rows_total - gone.total()


def count_new_rows(lake: Lake, *, runs: Iterable[str], lies_ahead: bool) -> int:
    """The number of rows that have brought a label since the newest snapshot that one of the train executions pinned.

    If the label `lies_ahead`, every row counts, since it is the truth of an earlier row. Else only rows that came with
    their label count. Of a drop that was replaced since, the rows count that it has more. Rows that were made of
    decisions and late labels do not count here: `count_labels` counts their labels. `runs` are the beginnings of the
    names of the train executions. 0 if none of them has pinned a snapshot."""
    table, begin = lake.find("rows"), tuple(runs)
    if table is None:
        return 0
    # A reference of Iceberg is a tag or a branch by its name; a run's tag has the name of the run.
    pinned = {ref.snapshot_id for name, ref in table.metadata.refs.items() if name.startswith(begin)}
    journal = Journal.of(table)
    newest = max((entry.place for entry in journal.present if entry.snapshot_id in pinned), default=None)
    if newest is None:
        return 0
    # Only drops count, no rows that were made of decisions.
    dropped = [entry for entry in journal if LABELS_SNAPSHOT not in entry.notes]

    def rows(entry: JournalEntry) -> int:
        return entry.rows_added if lies_ahead else entry.rows_labelled

    before = _by_drop((entry for entry in dropped if entry.place <= newest), rows)
    return (_by_drop(dropped, rows) - before).total()


def _by_drop(entries: Iterable[JournalEntry], rows: Callable[[JournalEntry], int]) -> Counter[str]:
    """How many of such rows each drop has, by its landing key, without those that were replaced or withdrawn."""
    there = Counter[str]()
    for entry in entries:
        for gone in entry.notes.keys() & {REPLACED, WITHDRAWN_DROP}:
            there.pop(entry.notes[gone], None)
        there[entry.key] += rows(entry)
    return there
