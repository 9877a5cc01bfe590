"""The champion's endpoint, behind a circuit breaker that all copies of this function share."""

from __future__ import annotations

from collections.abc import Callable
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

from millrace.decisions.prediction import EndpointAnswer, read_response
from millrace.errors import AnswerError
from millrace.settings.prediction import PredictionSettings
from millrace.tasks.task import Task

CIRCUIT = "circuit#endpoint"
FAILURES = (AnswerError, BotoCoreError, ClientError)
"""What makes the endpoint count as down; ClientError covers "no such endpoint" and "the model failed"."""


def connect(settings: PredictionSettings, task: Task) -> Callable[[bytes, int], EndpointAnswer]:
    """A function of body and number of rows that returns the endpoint's answer, checked by the workload's task.

    It raises one of FAILURES; after five in a row the circuit opens and for 30 s it raises without a call."""
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(connect_timeout=1, read_timeout=settings.endpoint_timeout_s, retries={"total_max_attempts": 2}),
    )
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
            EndpointName=settings.names.endpoint, ContentType="application/json", Accept="application/json", Body=body
        )
        return read_response(answer["Body"].read(), rows=rows, task=task)

    protected: Callable[[bytes, int], EndpointAnswer] = invoke
    return protected
