"""What the probe asks and what comes back: the HTTP contract of the serving container."""

from __future__ import annotations

import json
from typing import Any

from millrace.messages.envelope import ExecutionInput, Message, StepResult
from millrace.release.promotion import Answer


class Opened(Message):
    version: str
    run_name: str


class Serving(ExecutionInput):
    """The state of a release execution once its challenger stands."""

    start_release: StepResult[Opened]


class Sample(Message):
    """`sample.json` of the evaluation job: real rows of the test days, and what the graph said to them."""

    rows: tuple[dict[str, Any], ...]
    probabilities: tuple[float, ...]


class Prediction(Message):
    probability: float


class Response(Message):
    model_version: str
    predictions: tuple[Prediction, ...]


def ask(client: Any, endpoint: str, sample: Sample) -> Answer:
    """The endpoint's answer to the sample's rows; `client` is boto3's SageMaker Runtime client."""
    response = client.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"rows": sample.rows}),
    )
    came = Response.model_validate_json(response["Body"].read())
    return Answer(model_version=came.model_version, probabilities=tuple(one.probability for one in came.predictions))
