"""Checks that the challenger answers real rows of the test days as the evaluation did.

Both bodies of HTTP are JSON:

    request  {"rows": [{"timestamp": "1997-01-02T00:00:00", "nswprice": 0.056923, …}, …]}
    answer   {"model_version": "2", "predictions": [{"value": 0, "probability": 0.03, "confidence": 0.97}, …]}
"""

from __future__ import annotations

import json

import boto3

from millrace.aws.objects import read_object
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.sample import read_sample
from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import StepInput
from millrace.messages.release import SmokeTested, StartedState
from millrace.release.challenger import asker
from millrace.release.promotion import SampleAnswers, judge_smoke_test
from millrace.settings.environment import Environment

ROOM = WorkloadRoom(Environment.parse(), __name__)
S3 = boto3.client("s3")
ASK = asker(ROOM.names, ROOM.workload.rollout)


@ROOM.handles(StepInput[StartedState])
def handler(call: StepInput[StartedState]) -> SmokeTested:
    """Whether it is the very model that was evaluated, on how many rows and how exactly."""
    release = call.state.start_release.answer
    sample = read_sample(read_object(S3, ROOM.names.run_uri(release.run_name, "evaluation", SAMPLE_FILE)))
    answers = SampleAnswers.model_validate_json(ASK(release, json.dumps({"rows": sample.rows}).encode()))
    tested = judge_smoke_test(answers, sample, version=release.version)
    ROOM.logger.info("smoke_test", extra=tested.model_dump(mode="json"))
    return tested
