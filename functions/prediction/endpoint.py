"""The champion's endpoint, behind a circuit breaker that all copies of this function share.

What it is sent, how its answer is read, and what is answered without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

from functions.prediction.request import Admitted
from millrace.decisions.record import Scalar
from millrace.errors import AnswerError
from millrace.settings.prediction import PredictionSettings
from millrace.tasks.answer import read_answer
from millrace.tasks.task import Task
from millrace.workload.declaration import Fallback

CIRCUIT = "circuit#endpoint"
FAILURES = (AnswerError, BotoCoreError, ClientError)
"""What makes the endpoint count as down; ClientError covers "no such endpoint" and "the model failed"."""


@dataclass(frozen=True, kw_only=True)
class EndpointAnswer:
    """What a model answered, one output per row, in the order of the rows."""

    model_version: str | None
    """None when no model answered."""
    outputs: tuple[Mapping[str, Scalar], ...]
    """The fields of the task's answer."""


def connect(settings: PredictionSettings, task: Task) -> Callable[[bytes, int], EndpointAnswer]:
    """A function of body and number of rows that returns the endpoint's answer, checked by the workload's task.

    It raises one of FAILURES; after five in a row the circuit opens and for 30 s it raises without a call."""
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(connect_timeout=1, read_timeout=settings.endpoint_timeout_s, retries={"total_max_attempts": 2}),
    )
    endpoint = settings.names.endpoint
    store = CircuitBreakerDynamoDBPersistence(
        table_name=settings.names.platform.state_table,
        key_attr="pk",
        static_pk_value=settings.workload,
        sort_key_attr="sk",
        boto3_client=boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=1)),
    )

    def refuse(*_: Any, circuit: CircuitInfo) -> EndpointAnswer:
        raise AnswerError(f"the circuit is open since {circuit.opened_at}: the endpoint is left alone for a while")

    @circuit_breaker(
        name=CIRCUIT,
        persistence_store=store,
        on_circuit_open=refuse,
        config=CircuitBreakerConfig(handled_exceptions=FAILURES, success_threshold=1),
    )
    def invoke(body: bytes, rows: int) -> EndpointAnswer:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Accept="application/json", Body=body
        )
        return read_response(answer["Body"].read(), rows=rows, task=task)

    protected: Callable[[bytes, int], EndpointAnswer] = invoke
    return protected


def request_body(rows: Sequence[Admitted], features: Sequence[str]) -> bytes:
    """What the endpoint is sent: `{"rows": [{feature: value, …}, …]}`."""
    wanted = [{feature: row.cells.get(feature) for feature in features} for row in rows]
    return json.dumps({"rows": wanted}, separators=(",", ":"), allow_nan=False).encode()


def read_response(body: bytes, *, rows: int, task: Task) -> EndpointAnswer:
    """The endpoint's answer to `rows` rows.

    Raises AnswerError where it is not one output per row, or an output lacks what the task's answers hold."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise AnswerError(f"expected JSON, got {body[:80]!r} ({error})") from None
    predictions = document.get("predictions") if isinstance(document, dict) else None
    version = document.get("model_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not isinstance(predictions, list):
        raise AnswerError(f"expected model_version and predictions, got {body[:80]!r}")
    if len(predictions) != rows:
        raise AnswerError(f"expected {rows} predictions, got {len(predictions)}")
    outputs = tuple(read_answer(prediction, task.answer) for prediction in predictions)
    return EndpointAnswer(model_version=version, outputs=outputs)


def fallback_answer(fallback: Fallback, *, rows: int, task: Task) -> EndpointAnswer:
    """The same declared answer for each row; its fields are None where the workload declares none."""
    return EndpointAnswer(model_version=None, outputs=(task.fallback(fallback),) * rows)
