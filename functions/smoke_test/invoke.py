"""Invoke the challenger endpoint with the evaluation's sample: the HTTP contract of the serving container."""

from __future__ import annotations

import json
from typing import Any

from millrace.messages.envelope import Message
from millrace.release.promotion import EndpointAnswer


class Sample(Message):
    """`sample.json` of the evaluation job: real rows of the test days, and what the graph said to them."""

    rows: tuple[dict[str, Any], ...]
    probabilities: tuple[float, ...]


class SamplePrediction(Message):
    probability: float


class EndpointResponse(Message):
    model_version: str
    predictions: tuple[SamplePrediction, ...]


def invoke(client: Any, endpoint: str, sample: Sample) -> EndpointAnswer:
    """The endpoint's answer to the sample's rows; `client` is boto3's SageMaker Runtime client."""
    response = client.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"rows": sample.rows}),
    )
    came = EndpointResponse.model_validate_json(response["Body"].read())
    return EndpointAnswer(
        model_version=came.model_version, probabilities=tuple(one.probability for one in came.predictions)
    )
