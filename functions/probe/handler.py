"""The challenger endpoint answers real rows of the test days as the evaluation did, before it gets any traffic."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.probe.asking import Sample, Serving, ask
from millrace.invocation import Invocation
from millrace.objects import read_object
from millrace.release import judge_probe
from millrace.settings.probe import ProbeSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = ProbeSettings.parse()
LOGGER = Logger()
S3 = boto3.client("s3")
RUNTIME = boto3.client("sagemaker-runtime")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Whether the endpoint serves the very model that was evaluated, on how many rows, and how far off it was."""
    opened = Invocation[Serving].model_validate(event).state.opening.answer
    uri = SETTINGS.names.run_uri(opened.run_name, "evaluation", "sample.json")
    sample = Sample.model_validate_json(read_object(S3, uri))
    answer = ask(RUNTIME, SETTINGS.names.challenger, sample)
    probe = judge_probe(answer, expected=sample.probabilities, version=opened.version)
    LOGGER.info("probe", extra=asdict(probe))
    return asdict(probe)
