"""Checks that the challenger endpoint answers real rows of the test days as the evaluation did."""

from __future__ import annotations

import boto3

from millrace.aws.objects import read_object
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.sample import Sample
from millrace.functions.room import Room
from millrace.functions.smoke_test.invoke import invoke
from millrace.messages.envelope import StepInput
from millrace.messages.release import SmokeTested, StartedState
from millrace.release.promotion import judge_smoke_test
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
