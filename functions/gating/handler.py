"""Judges the evaluation report of a model by the workload's gates, and records the verdicts."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

import boto3

from millrace.aws.objects import read_object
from millrace.evaluation.gates.catalogue import judge_all, passed
from millrace.evaluation.gates.gate import Verdict, unknown
from millrace.evaluation.next_step import next_step
from millrace.evaluation.report import EVALUATION_FILE, Evaluation, why_outdated
from millrace.evaluation.reuse import ComparedDays
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import StepInput
from millrace.messages.train import GatesJudged, GateVerdict, NextStep, PinnedState
from millrace.settings.environment import Environment
from millrace.state.audit import Record, read

ROOM = WorkloadRoom(Environment.parse(), __name__)
S3 = boto3.client("s3")


@ROOM.handles(StepInput[PinnedState])
def handler(call: StepInput[PinnedState]) -> GatesJudged:
    """Whether all gates passed, each verdict, and one sentence for each gate.

    The model is also refused if another version is live now than the version that it was compared with."""
    uri = ROOM.names.run_uri(call.run, "evaluation", EVALUATION_FILE)
    report = Evaluation.model_validate_json(read_object(S3, uri))
    # A model that was judged before these days had come was not judged on them.
    days = ComparedDays.of(report, ROOM.workload.gates.non_inferiority.recent_days)
    known = read(ROOM.dynamodb, table=ROOM.names.platform.audit_table, workload=ROOM.names.workload, since=days.begin)
    candidates = count_candidates(days, known, run=call.run)
    verdicts = judge_all(report, ROOM.workload.gates, against=call.state.snapshot.answer.gate, candidates=candidates)
    # The champion may have changed since the evaluation. Then the comparison no longer counts, whatever it has shown.
    live = ROOM.pointers.champion()
    if why := why_outdated(report.beside, live.version if live else ""):
        verdicts = (*verdicts, replace(unknown(math.nan, why), name=CHAMPION))
    rows, is_ours = call.state.snapshot.answer.rows, call.state.external_model is None and not call.state.pulled
    step = next_step(report, verdicts, ROOM.workload, rows=rows) if is_ours else None
    answer = judged(verdicts, step, ROOM.names.workload, days=days, candidates=candidates)
    ROOM.audit(AuditEvent.MODEL_PASSED if answer.passed else AuditEvent.MODEL_REFUSED, answer, call)
    return answer


CHAMPION = "champion"
"""The name of a verdict that is no gate of workload.yaml. It judges the comparison with the champion, not the model."""


def count_candidates(days: ComparedDays, records: Iterable[Record], *, run: str) -> int:
    """How many models were judged on these days, that of the `run` included.

    Another one counts if it was judged on more than half of them."""
    others = [(one.run, one.details) for one in records if isinstance(one.details, GatesJudged) and one.run != run]
    return 1 + len({other for other, told in others if days.are_shared(told.tested_from, told.tested_to)})


def judged(
    verdicts: Sequence[Verdict], step: NextStep | None, workload: str, *, days: ComparedDays, candidates: int
) -> GatesJudged:
    """The message: whether all gates passed, each verdict, one sentence for each gate, and the step that may help."""
    return GatesJudged(
        passed=passed(verdicts),
        verdicts=tuple(GateVerdict(**asdict(verdict)) for verdict in verdicts),
        sentences=tuple(f"{_word(verdict)}: {verdict.name}: {verdict.sentence}" for verdict in verdicts),
        next_step=step,
        advice=f"{step.sentence}: millrace {shlex.join(step.words)} --workload {workload}" if step else "",
        tested_from=days.begin,
        tested_to=days.end,
        candidates=candidates,
    )


def _word(verdict: Verdict) -> str:
    if verdict.is_warning:
        return "passed with a warning"
    return "passed" if verdict.passed else "refused"
