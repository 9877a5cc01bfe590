"""Sends the evaluation's sample to the challenger endpoint, by the HTTP contract of the serving container.

Both bodies are JSON:

    request  {"rows": [{"timestamp": "1997-01-02T00:00:00", "nswprice": 0.056923, …}, …]}
    answer   {"model_version": "2", "predictions": [{"value": 0, "probability": 0.03, "confidence": 0.97}, …]}
"""

from __future__ import annotations

import json
from typing import Any

from millrace.evaluation.sample import Sample
from millrace.messages.envelope import Message
from millrace.release.promotion import SampleAnswers


class EndpointResponse(Message):
    model_version: str
    predictions: tuple[dict[str, Any], ...]
    """The fields of the answer for each row. The model's task says which fields there are."""


def invoke(client: Any, endpoint: str, sample: Sample) -> SampleAnswers:
    """The endpoint's answers to the sample's rows. `client` is boto3's SageMaker Runtime client."""
    answer = client.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"rows": sample.rows}),
    )
    response = EndpointResponse.model_validate_json(answer["Body"].read())
    return SampleAnswers(model_version=response.model_version, answers=response.predictions)
