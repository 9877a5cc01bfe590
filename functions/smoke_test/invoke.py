"""What the probe asks and what comes back: the HTTP contract of the serving container."""

from __future__ import annotations

import json
from typing import Any

from millrace.messages.envelope import Answered, Asked, Part
from millrace.release.promotion import Answer


class Opened(Part):
    version: str
    run_name: str


class Serving(Asked):
    """The state of a release execution once its challenger stands."""

    start_release: Answered[Opened]


class Sample(Part):
    """`sample.json` of the evaluation job: real rows of the test days, and what the graph said to them."""

    rows: tuple[dict[str, Any], ...]
    probabilities: tuple[float, ...]


class Prediction(Part):
    probability: float


class Response(Part):
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
