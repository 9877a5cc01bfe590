"""Answers a request: checks its rows by the contract, asks the endpoint, keeps the decisions, and returns predictions.

If no model answers, or the live version is below its floor, the declared fallback does."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.prediction import decisions, endpoint, gate, request
from functions.prediction.request import Asked, Refusal
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.contract.schema import up_to
from millrace.decisions import captured, road
from millrace.decisions.chain import Instead, answer_instead, answerers
from millrace.decisions.road import Admitted, Answers, Rejected
from millrace.decisions.standing import Standing
from millrace.errors import EndpointRefusedError, RequestRefusedError
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import requiring_known
from millrace.settings.prediction import PredictionSettings
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.tasks import catalogue as tasks
from millrace.workload.load import load_workload
from millrace.workload.other_columns import other_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from millrace.decisions.record import Decision

STATE_CONFIG = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})
"""A caller does not wait for a state table that does not answer."""
SETTINGS = PredictionSettings.parse()
WORKLOAD = load_workload(SETTINGS.folder)
PREDICTION_SPEC = WORKLOAD.prediction
CONTRACT = load_contract(SETTINGS.folder).read_by_models(PREDICTION_SPEC.tensor_columns)
INPUTS = PREDICTION_SPEC.inputs
TABLE = requiring_known(CONTRACT.table("scoring"))
OTHERS = other_columns(PREDICTION_SPEC, TABLE)
TASK = tasks.declare(PREDICTION_SPEC, CONTRACT.label)
HISTORIES = encoders.histories(encoders.declare(PREDICTION_SPEC.features, TABLE))
LONG = captured.LongCells(columns=captured.long_columns(TABLE), under=SETTINGS.names.lake_uri(captured.FOLDER, ""))
LOGGER = Logger()
SQS = boto3.client("sqs")
S3 = boto3.client("s3") if LONG.columns else None
STATE = StateTable(boto3.client("dynamodb", config=STATE_CONFIG), SETTINGS.names)
POINTERS = ReleasePointers(STATE)
STANDING = Standing(WORKLOAD.policy, STATE)
INVOKE = endpoint.connect(SETTINGS, TASK)
GATE = gate.CallerGate(STATE, SETTINGS, LOGGER)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The predictions and the rejected rows. Every decision and its images are kept before this returns."""
    now = datetime.now(UTC)
    # The request as a whole: anything that is no request of this workload is refused with one error.
    caller = request.caller(event)
    body = GATE.refusal(caller, now) or request.body(event)
    rows = body if isinstance(body, Refusal) else request.read_rows(body)
    if isinstance(rows, Refusal):
        return request.refuse(event, rows)
    explain = request.wants_explanations(body, len(rows), declared=WORKLOAD.explanations.rows > 0)
    if isinstance(explain, Refusal):
        return request.refuse(event, explain)
    repeatable = request.repeatable(event, caller)
    if isinstance(repeatable, Refusal):
        return request.refuse(event, repeatable)
    call_id = request.call_id(body, repeatable.id if repeatable else context.aws_request_id)
    if isinstance(call_id, Refusal):
        return request.refuse(event, call_id)
    asked = Asked(
        rows=rows,
        explain=explain,
        call_id=call_id,
        caller=caller,
        at=now,
        is_kept=repeatable is not None,
    )
    document = GATE.once(repeatable, now, lambda: predict(asked)) if repeatable else predict(asked)
    return request.refuse(event, document) if isinstance(document, Refusal) else request.answer(event, document)


def predict(asked: Asked) -> dict[str, Any] | Refusal:
    """The document of the answer, when its decisions are on the queue."""
    # Each row by the contract. One moment is the arrival of all: it fills generated times and bounds event times.
    whole = road.complete(asked.rows, TABLE, HISTORIES, at=asked.at, call_id=asked.call_id)
    admitted, rejected = road.check_rows(whole, up_to(TABLE, PREDICTION_SPEC, arrived=asked.at), HISTORIES)
    # The model's answer to the rows that keep the contract. It may reject some of them too.
    started = time.perf_counter()
    answer = ask(admitted, explain=asked.explain)
    if isinstance(answer, Refusal):
        return answer
    call = road.Call(
        id=asked.call_id,
        workload=SETTINGS.workload,
        phase="live",
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
        at=asked.at,
        caller=asked.caller,
    )
    answered, untaken = endpoint.split_rejected(admitted, answer, TABLE)
    acting = STANDING.acting(answer.model_version)
    if acting and acting.below_floor:
        answer = replace(answer, instead=instead(answered), explanations=())
    # Images are kept before the decisions that refer to them, and the decisions before the caller has an answer.
    inputs: Sequence[Mapping[str, Any]] = [row.cells for row in answered]
    if S3 is not None:
        inputs, contents = LONG.split(inputs)
        captured.keep(S3, contents)
    decided = road.decide(answered, answer, inputs=inputs, prediction_spec=PREDICTION_SPEC, call=call, acting=acting)
    written, too_long = decisions.write(answered, decided)
    rejected = sorted([*rejected, *untaken, *too_long], key=lambda row: row.row)
    # Explanations are answered and not kept: the model of a decision gives them again (`millrace why --explain`).
    found = zip((row.number for row in answered), answer.explanations, strict=False)
    explanations = dict(found) if asked.explain else None
    kept = [(one.row, one.decision) for one in written]
    document: dict[str, Any] = request.document(kept, rejected, explanations, acts=acting is not None)
    if warnings := road.warnings([one.row for one in written], TABLE, HISTORIES):
        document["warnings"] = warnings
    if asked.is_kept and gate.pack(document) is None:
        return gate.TOO_LARGE
    decisions.send(SQS, SETTINGS.decisions_queue_url, [one.line for one in written])
    count_rows([decision for _, decision in kept], rejected, warnings, acts=acting is not None)
    return document


def count_rows(
    decided: Sequence[Decision], rejected: Sequence[Rejected], warnings: Sequence[Mapping[str, Any]], *, acts: bool
) -> None:
    """Publish what became of the rows of a request."""
    if rejected:
        count("RejectedRows", len(rejected))
    if acts:
        for action, rows_of_action in Counter(decision.action for decision in decided).items():
            if action != "fallback":
                count(action.capitalize(), rows_of_action)
    if unlisted := sum(one["reason"] == Reason.ALLOWED for one in warnings):
        count("UnlistedValues", unlisted)


def ask(rows: list[Admitted], *, explain: bool = False) -> Answers | Refusal:
    """The champion's answer, or the declared fallback if it gives none.

    Once a model has been live, an endpoint that is missing or may not be called leads to a Refusal. A fallback would
    look like a service that works, and such a fault does not pass by itself."""
    if not rows:
        return Answers(model_version=None, outputs=())
    try:
        return INVOKE(endpoint.request_body(rows, INPUTS, OTHERS, explain=explain), len(rows))
    except (*endpoint.FAILURES, EndpointRefusedError, RequestRefusedError) as error:
        LOGGER.error("the endpoint gave no answer", extra={"error": type(error).__name__, "reason": str(error)})
        if isinstance(error, EndpointRefusedError) and was_live():
            count("Unavailable", len(rows))
            return endpoint.UNAVAILABLE
        count("Fallbacks", len(rows))
        others = instead(rows)
        return Answers(model_version=None, outputs=tuple(one.output for one in others), instead=others)


def instead(rows: list[Admitted]) -> tuple[Instead, ...]:
    """What `prediction.fallback` answers to the rows in place of a model."""
    rule = STANDING.rule_answer() if "rule" in PREDICTION_SPEC.fallback else None
    chain = answerers(PREDICTION_SPEC, TASK, rule=rule)
    return tuple(answer_instead([row.cells for row in rows], chain, TASK))


def was_live() -> bool:
    """Whether a model is or was live. Also True if the table cannot be read: that is a fault of configuration too."""
    try:
        return POINTERS.read().newest > 0
    except (BotoCoreError, ClientError) as error:
        LOGGER.error("the release pointers cannot be read", extra={"reason": str(error)})
        return True


def count(metric: str, rows: int) -> None:
    """Publish a count of rows of this workload. Good calls publish nothing and cost nothing."""
    found = EphemeralMetrics(service="")  # else powertools adds a dimension "service" beside ours
    found.add_dimension("Workload", SETTINGS.workload)
    found.add_metric(metric, MetricUnit.Count, rows)
    found.flush_metrics()
