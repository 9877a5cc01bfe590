"""Gathers the facts for the guard's decision, from state, tables and request, and answers with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from millrace.datasets.label_rows import count_labels_since
from millrace.datasets.tables import Lake
from millrace.functions.guard.label_count import count_labels, count_new_rows
from millrace.messages.envelope import StepInput
from millrace.messages.retrain import RetrainingDecided, RetrainingEvidence, RetrainInput
from millrace.monitoring.retraining_policy import RetrainingDecision, RetrainingFacts, labels_wanted
from millrace.names import hash_of_run
from millrace.settings.environment import Environment
from millrace.state.budget import MonthlyBudget
from millrace.state.leases import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.retraining import Retrainings
from millrace.state.table import StateTable
from millrace.state.versions import ChangeStarts
from millrace.timestamps import month
from millrace.workload.declaration import Retraining, Workload
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the facts are read. `glue` and `s3` are boto3's clients."""

    settings: Environment
    workload: Workload
    state: StateTable
    lake: Lake
    glue: Any
    s3: Any


def gather(call: StepInput[RetrainInput], sources: Sources) -> RetrainingFacts:
    """The facts for the request, at its `as_of`."""
    names, as_of = sources.settings.names, call.state.as_of
    champion, last, new_rows = ReleasePointers(sources.state).champion(), Retrainings(sources.state).last(), 0
    alarms = call.state.detail.names(f"{names.prefix}-")
    since = None
    if champion and call.state.trigger != "command":
        since = drifted_since(sources, champion.version, alarms)
    if champion:
        rows = {"database": names.platform.database, "table": names.table("rows")}
        # A run pins its snapshot under its own name as a tag. The last retraining started its `train` execution under a
        # name that begins with the hash of its own.
        runs = [champion.run, *([hash_of_run(last.execution_arn.rpartition(":")[2])] if last.execution_arn else [])]
        ahead = bool(sources.workload.prediction.horizon_hours)
        new_rows = count_new_rows(sources.glue, sources.s3, **rows, runs=runs, lies_ahead=ahead)
    return RetrainingFacts(
        as_of=as_of,
        trigger=call.state.trigger,
        execution_arn=call.execution_arn,
        alarms=alarms,
        has_champion=champion is not None,
        lease=Leases(sources.state).find("retrain"),
        last=last,
        labels_total=count_labels(
            sources.glue, sources.s3, database=names.platform.database, table=names.table("labels")
        ),
        new_rows=new_rows,
        drifted_since=since,
        drifted_labels=count_labels_since(sources.lake, sources.workload.prediction, since) if since else 0,
        spent_usd=float(MonthlyBudget(sources.state).spent_usd(as_of)),
        projected_usd=projected_usd(usages(sources.workload, sources.settings.stage)),
    )


def drifted_since(sources: Sources, version: str, alarms: tuple[str, ...]) -> datetime | None:
    """The start of the first window above its bound, by these alarms; without any, by those that start a retraining."""
    policy = sources.workload.retraining
    if not policy.drifted_labels:
        return None
    known = ChangeStarts.find(sources.state, version)
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
