"""The challenger endpoint answers real rows of the test days as the evaluation did, before it gets any traffic."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.smoke_test.invoke import Sample, Serving, ask
from millrace.aws.objects import read_object
from millrace.messages.envelope import StepInput
from millrace.release.promotion import judge_probe
from millrace.settings.smoke_test import SmokeTestSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = SmokeTestSettings.parse()
LOGGER = Logger()
S3 = boto3.client("s3")
RUNTIME = boto3.client("sagemaker-runtime")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Whether the endpoint serves the very model that was evaluated, on how many rows, and how far off it was."""
    opened = StepInput[Serving].model_validate(event).state.start_release.answer
    uri = SETTINGS.names.run_uri(opened.run_name, "evaluation", "sample.json")
    sample = Sample.model_validate_json(read_object(S3, uri))
    answer = ask(RUNTIME, SETTINGS.names.challenger, sample)
    probe = judge_probe(answer, expected=sample.probabilities, version=opened.version)
    LOGGER.info("smoke_test", extra=asdict(probe))
    return asdict(probe)
