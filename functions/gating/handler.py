"""Judges the evaluation report of a model by the workload's gates, and records the verdicts."""

from __future__ import annotations

import boto3

from millrace.aws.objects import read_object
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.next_step import next_step
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.evaluation.reuse import ComparedDays
from millrace.functions.gating.judging import count_candidates, judged, outdated
from millrace.functions.room import Room
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import StepInput
from millrace.messages.train import GatesJudged, PinnedState
from millrace.settings.environment import Environment
from millrace.state.audit import read

ROOM = Room(Environment.parse(), __name__)
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
    verdicts = (*verdicts, *outdated(report, ROOM.pointers.champion()))
    rows, is_ours = call.state.snapshot.answer.rows, call.state.external_model is None and not call.state.pulled
    step = next_step(report, verdicts, ROOM.workload, rows=rows) if is_ours else None
    answer = judged(verdicts, step, ROOM.names.workload, days=days, candidates=candidates)
    ROOM.audit(AuditEvent.MODEL_PASSED if answer.passed else AuditEvent.MODEL_REFUSED, answer, call)
    return answer
