"""The prediction function beside moto's queue and table, and an endpoint that speaks HTTP."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base

from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from tests.builders import version
from tests.challenger import answering
from tests.functions.cold_start import NAMES, Handler, cold_starts, set_variables
from tests.functions.conftest import Aws

SAMPLES = Path(__file__).resolve().parents[3] / "workloads"


@dataclass
class Endpoint:
    """What the endpoint answers next, and what it was asked."""

    status: int = 200
    code: str = ""
    original: int = 500
    """With `code` ModelError: what the container answered."""
    change: Callable[[dict[str, Any]], Any] = lambda answer: answer
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, document: dict[str, Any]) -> bytes:
        self.requests.append(document)
        predictions = [{"value": 1, "probability": 0.75, "confidence": 0.75} for _ in document["rows"]]
        return json.dumps(self.change({"model_version": "3", "predictions": predictions})).encode()


@pytest.fixture
def workload() -> str:
    """Of the function; a file may name another."""
    return "electricity"


@pytest.fixture
def endpoint(workload: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    found = Endpoint()

    def answer(path: str, body: bytes) -> Any:
        assert path == f"/endpoints/millrace-local-{workload.replace('_', '-')}/invocations"
        said = found.answer(json.loads(body))
        refused = json.dumps({"Message": "refused", "OriginalStatusCode": found.original}).encode()
        return found.status, refused if found.code else said, found.code

    with answering(monkeypatch, answer) as found.url:
        yield found


@pytest.fixture
def queue_url(aws: Aws, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, workload: str) -> str:
    """The decisions queue; around it the environment of the function."""
    names = WorkloadNames(platform=NAMES.platform, workload=workload)
    set_variables(monkeypatch, names=names, AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=endpoint.url)
    url = str(aws.sqs.create_queue(QueueName=names.queue("decisions"))["QueueUrl"])
    monkeypatch.setenv("MILLRACE_DECISIONS_QUEUE_URL", url)
    return url


def gone_live(names: WorkloadNames = NAMES, **more: Any) -> None:
    """Version 3 is live, as the release machine leaves it."""
    ReleasePointers(StateTable(boto3.client("dynamodb"), names)).move(Pointers().with_live(version("3", **more)))


@pytest.fixture
def predict(queue_url: str) -> Iterator[Handler]:
    """The handler as Lambda calls it, in a copy that has seen no failure yet."""
    base._LOCAL_FAILURES.clear()
    with cold_starts() as start:
        yield start("prediction")


@pytest.fixture
def decisions(queue_url: str) -> Callable[[], list[str]]:
    """Every line on the queue, and the queue is empty."""

    def drain() -> list[str]:
        lines: list[str] = []
        while found := boto3.client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                lines += message["Body"].split("\n")
                boto3.client("sqs").delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return lines

    return drain
