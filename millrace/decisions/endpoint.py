"""Calls the champion's endpoint or a canary's: what it is sent, how its answer is read, what is answered without it.

The calls go through a circuit breaker. Each copy of this function counts failures by itself, and all copies share the
state of the circuit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3
from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitInfo,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.dynamodb import CircuitBreakerDynamoDBPersistence
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from millrace.artefact.batch import PREDICTION, REASON, reason_of
from millrace.contract.schema import Table
from millrace.decisions.record import Scalar
from millrace.decisions.road import Admitted, Answers, Refusal, Rejected
from millrace.errors import AnswerError, AnswerRangeError, EndpointRefusedError, RequestRefusedError
from millrace.settings.prediction import RoadSettings
from millrace.tasks.answer import is_finite, read_answer
from millrace.tasks.task import AnswerField, Task

CIRCUIT, CANARY_CIRCUIT = "circuit#endpoint", "circuit#challenger"
FAILURES = (AnswerError, BotoCoreError, ClientError)
"""Errors by which the endpoint counts as down. ClientError covers "the model failed" and "too many requests".

A container that answers with 4xx works. That is a RequestRefusedError, which does not count."""
REFUSALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "UnrecognizedClientException",
        "ValidationError",
        "ValidationException",
    }
)
"""SageMaker's codes for a call that it refuses: there is no such endpoint or variant (a ValidationError), or no right.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors"""
UNAVAILABLE = Refusal(
    error="no model",
    expected="the live endpoint",
    came="an endpoint that is missing or may not be called: the log of this function says which",
    where="endpoint",
    status=503,
)


def connect(settings: RoadSettings, task: Task, *, canary: bool = False) -> Callable[[bytes, int], Answers]:
    """A function that takes a body and its number of rows, and returns the endpoint's answer, checked by the task.

    For a `canary` it is the challenger's endpoint, which is asked once, with a circuit of its own.

    It raises one of FAILURES if the endpoint gives no answer. After five failures in a row in this copy of the function
    the circuit opens for all copies: for 30 s they raise AnswerError without a call. Another copy may see that up to
    5 s late.

    It raises EndpointRefusedError for a call that SageMaker refuses, and RequestRefusedError for a call that the
    container refuses. Neither opens the circuit."""
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(
            connect_timeout=1,
            read_timeout=settings.endpoint_timeout_s,
            retries={"total_max_attempts": 1 if canary else 2},
        ),
    )
    endpoint = settings.names.challenger if canary else settings.names.endpoint
    store = CircuitBreakerDynamoDBPersistence(
        table_name=settings.names.platform.state_table,
        key_attr="pk",
        static_pk_value=settings.workload,
        sort_key_attr="sk",
        boto3_client=boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=1)),
    )

    def refuse(*_: Any, circuit: CircuitInfo) -> Answers:
        raise AnswerError(f"the circuit is open since {circuit.opened_at}: the endpoint is left alone for a while")

    @circuit_breaker(
        name=CANARY_CIRCUIT if canary else CIRCUIT,
        persistence_store=store,
        on_circuit_open=refuse,
        config=CircuitBreakerConfig(handled_exceptions=FAILURES, success_threshold=1),
    )
    def invoke(body: bytes, rows: int) -> Answers | RequestRefusedError:
        # A refusal by the container is returned and not raised. Raised, it would leave a circuit half open that is just
        # being tried again.
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint, ContentType="application/json", Accept="application/json", Body=body
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in REFUSALS:
                raise EndpointRefusedError(str(error)) from error
            # The container answered with 4xx: SageMaker calls that a ModelError, as it does for a broken container.
            status = error.response.get("OriginalStatusCode")
            if isinstance(status, int) and 400 <= status < 500:
                return RequestRefusedError(str(error))
            raise
        return read_response(answer["Body"].read(), rows=rows, task=task)

    # Outside of the circuit breaker the refusal is raised after all.
    def ask(body: bytes, rows: int) -> Answers:
        answer: Answers | RequestRefusedError = invoke(body, rows)
        if isinstance(answer, RequestRefusedError):
            raise answer
        return answer

    return ask


def request_body(
    rows: Sequence[Admitted], features: Sequence[str], others: Mapping[str, str] = {}, *, explain: bool = False
) -> bytes:
    """The body for the endpoint: `{"rows": [{feature: value, …}, …], "others": [{column: value, …}, …]}`.

    With `explain` it also has `"explain":true`. A version of another declaration takes its features from `rows` and
    `others`, whose columns are named as it may know them."""
    document: dict[str, Any] = {
        name: [{known: row.cells.get(column) for known, column in columns.items()} for row in rows]
        for name, columns in (("rows", {feature: feature for feature in features}), ("others", others))
    }
    document |= {"explain": True} if explain else {}
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def read_response(body: bytes, *, rows: int, task: Task) -> Answers:
    """The endpoint's answer to so many `rows`. A row whose numbers are not finite or not in their range is rejected.

    Raises AnswerError if it does not have one output for each row, or if an output lacks a field of the task's
    answers."""
    try:
        return _read(body, rows, task)
    except (ValueError, RecursionError) as error:  # a deep value may be parsed and yet be too deep for a message
        raise AnswerError(f"expected JSON, got {body[:80]!r} ({error})") from None


def _read(body: bytes, rows: int, task: Task) -> Answers:
    document = json.loads(body)
    predictions = document.get("predictions") if isinstance(document, dict) else None
    version = document.get("model_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not isinstance(predictions, list):
        raise AnswerError(f"expected model_version and predictions, got {body[:80]!r}")
    if len(predictions) != rows:
        raise AnswerError(f"expected {rows} predictions, got {len(predictions)}")
    try:
        return _answers(version, predictions, task.answer)
    except AnswerRangeError:
        # Only now each row is looked at by itself: one bad answer must not cost the other rows theirs.
        return _answers(version, [_in_range(one, task.answer) for one in predictions], task.answer)


def _in_range(prediction: Any, fields: Sequence[AnswerField]) -> Any:
    """The prediction of one row, or its rejection for a number that is not finite or not in its range."""
    try:
        _answers("", [prediction], fields)
    except AnswerRangeError as error:
        return {"rejected": {"column": PREDICTION, "expected": error.expected, "came": error.came}}
    return prediction


def _answers(version: str, predictions: Sequence[Any], fields: Sequence[AnswerField]) -> Answers:
    # A rejected row has its reason in place of an answer. What follows is of the other rows only.
    objects = {place: one for place, one in enumerate(predictions) if isinstance(one, dict)}
    rejected = {place: _rejection(one) for place, one in objects.items() if "rejected" in one}
    answered = [one for place, one in enumerate(predictions) if place not in rejected]
    outputs = tuple(read_answer(prediction, fields) for prediction in answered)
    watched = tuple(map(_measured, answered)) if any("watched" in one for one in answered) else ()
    explanations = tuple(map(_explanation, answered)) if any("explanation" in one for one in answered) else ()
    return Answers(
        model_version=version,
        outputs=outputs,
        rejected=rejected,
        watched=watched if any(watched) else (),
        explanations=explanations if any(explanations) else (),
    )


def split_rejected(rows: Sequence[Admitted], answer: Answers, table: Table) -> tuple[list[Admitted], list[Rejected]]:
    """The rows that were answered, and the rows that the model's container did not take. `table` is the contract's."""
    answered = [row for place, row in enumerate(rows) if place not in answer.rejected]
    rejected = [
        Rejected(row=rows[place].number, reason=reason_of(reason["column"], table), **reason)
        for place, reason in sorted(answer.rejected.items())
    ]
    return answered, rejected


def _rejection(prediction: Mapping[str, Any]) -> dict[str, str]:
    reason = prediction["rejected"]
    if not isinstance(reason, dict) or reason.keys() != set(REASON):
        raise AnswerError(f"rejected: expected {', '.join(REASON)}, got {reason!r:.80}")
    return {name: str(value) for name, value in reason.items()}


def _explanation(prediction: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = prediction.get("explanation")
    if found is None:
        return None
    # An explanation is flat but for its list of contributions: a value that is too deep could not be answered.
    listed = found.get("contributions") if isinstance(found, dict) else None
    flat = [found | {"contributions": None}, *listed] if isinstance(listed, list) else [None]
    if not all(isinstance(one, dict) and all(isinstance(cell, Scalar) for cell in one.values()) for one in flat):
        raise AnswerError("explanation: expected an object with contributions, or null, got another shape")
    return dict(found)


def _measured(prediction: Mapping[str, Any]) -> dict[str, float]:
    watched = prediction.get("watched", {})
    if not isinstance(watched, dict):
        raise AnswerError(f"watched: expected numbers by name, got {watched!r:.80}")
    # Nearly all are floats, which need no closer look.
    if set(map(type, watched.values())) <= {float} and all(map(math.isfinite, watched.values())):
        return watched
    if not all(map(is_finite, watched.values())):
        raise AnswerRangeError("watched", expected="finite numbers by name", came=watched)
    return {name: float(value) for name, value in watched.items()}
