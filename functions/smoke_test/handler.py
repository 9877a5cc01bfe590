"""Checks that the challenger endpoint answers real rows of the test days as the evaluation did.

Both bodies of HTTP are JSON:

    request  {"rows": [{"timestamp": "1997-01-02T00:00:00", "nswprice": 0.056923, …}, …]}
    answer   {"model_version": "2", "predictions": [{"value": 0, "probability": 0.03, "confidence": 0.97}, …]}
"""

from __future__ import annotations

import json
from typing import Any

import boto3

from millrace.aws.objects import read_object
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.sample import Sample
from millrace.functions.room import Room
from millrace.messages.envelope import Message, StepInput
from millrace.messages.release import SmokeTested, StartedState
from millrace.release.promotion import SampleAnswers, judge_smoke_test
from millrace.settings.environment import Environment

ROOM = Room(Environment.parse(), __name__)
S3 = boto3.client("s3")
RUNTIME = boto3.client("sagemaker-runtime")


@ROOM.handles(StepInput[StartedState])
def handler(call: StepInput[StartedState]) -> SmokeTested:
    """Whether the endpoint serves the very model that was evaluated, on how many rows and how exactly."""
    release = call.state.start_release.answer
    uri = ROOM.names.run_uri(release.run_name, "evaluation", SAMPLE_FILE)
    sample = Sample.model_validate_json(read_object(S3, uri))
    answers = invoke(RUNTIME, ROOM.names.challenger, sample)
    tested = judge_smoke_test(answers, sample, version=release.version)
    ROOM.logger.info("smoke_test", extra=tested.model_dump(mode="json"))
    return tested


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
