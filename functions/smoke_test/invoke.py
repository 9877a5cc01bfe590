"""Invoke the challenger endpoint with the evaluation's sample: the HTTP contract of the serving container."""

from __future__ import annotations

import json
from typing import Any

from millrace.evaluation.sample import Sample
from millrace.messages.envelope import Message
from millrace.release.promotion import SampleAnswers


class EndpointResponse(Message):
    model_version: str
    predictions: tuple[dict[str, Any], ...]
    """An answer's fields for each row; which ones they are depends on the model's task."""


def invoke(client: Any, endpoint: str, sample: Sample) -> SampleAnswers:
    """The endpoint's answers to the sample's rows; `client` is boto3's SageMaker Runtime client."""
    answer = client.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"rows": sample.rows}),
    )
    response = EndpointResponse.model_validate_json(answer["Body"].read())
    return SampleAnswers(model_version=response.model_version, answers=response.predictions)
