"""The prediction function beside moto's queue and table, and an endpoint that speaks HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base
from moto import mock_aws

from millrace.names import WorkloadNames
from tests.functions.cold_start import NAMES, Handler, cold_starts, set_variables
from tests.state_table import create_table

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
def endpoint(workload: str) -> Iterator[Endpoint]:
    found = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == f"/endpoints/millrace-local-{workload.replace('_', '-')}/invocations"
            body = found.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(found.status)
            if found.code:
                self.send_header("x-amzn-errortype", found.code)
                body = json.dumps({"Message": "refused", "OriginalStatusCode": found.original}).encode()
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://localhost:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def queue_url(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, workload: str) -> Iterator[str]:
    """The decisions queue; around it the environment of the function."""
    names = WorkloadNames(platform=NAMES.platform, workload=workload)
    set_variables(
        monkeypatch,
        names=names,
        AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=endpoint.url,
    )
    with mock_aws():
        url = boto3.client("sqs").create_queue(QueueName=names.queue("decisions"))["QueueUrl"]
        monkeypatch.setenv("MILLRACE_DECISIONS_QUEUE_URL", url)
        create_table(boto3.client("dynamodb"), NAMES.platform.state_table)
        yield url


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
