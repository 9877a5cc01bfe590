"""Checks the mocked result of a task against AWS's own model of the call: could its service answer this?

https://docs.aws.amazon.com/step-functions/latest/apireference/API_MockInput.html"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService

# `arn:aws:states:::sagemaker:createTrainingJob.sync`: service, action, and the pattern by which the task waits.
_RESOURCE = re.compile(r"arn:[\w-]+:states:::(?:aws-sdk:)?(\w+):(\w+)(\.sync(?::2)?|\.waitForTaskToken)?")
_AS_JSON = {"lambda": {"Payload"}, "stepfunctions": {"Input", "Output"}}
"""Fields that an integration gives as JSON, where the API has text: the model cannot check them."""


def check_result(resource: str, result: Any, mode: str) -> None:
    """Raise ValidationException if AWS would refuse `result` as the mocked result of a task.

        mode      what is checked
        STRICT    all required fields are there, and every field has the API's type
        PRESENT   the fields that are there have the API's type
        NONE      nothing

    A task that waits for a token is not checked: SendTaskSuccess may give anything."""
    found = _RESOURCE.fullmatch(resource)
    if mode == "NONE" or not found or found[3] == ".waitForTaskToken":
        return
    service = StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.get(found[1], found[1])
    shape = _output_shape(service, found[2], is_waited_for=bool(found[3]))
    if shape is None:
        return
    if not isinstance(result, Mapping):
        raise ValidationException(f"Mock result of {resource}: expected an object, got {type(result).__name__}")
    # Step Functions writes each field with a capital (`ExecutionArn`), the API of some services does not.
    known = {name[:1].upper() + name[1:]: name for name in shape.members}
    skipped = _AS_JSON.get(service, set())
    values = {known.get(key, key): value for key, value in result.items() if key not in skipped}
    # botocore's validator of requests takes any shape. Its errors are a private list of (kind, name, details).
    report = ParamValidator().validate(values, shape)
    errors = [one for one in report._errors if mode == "STRICT" or one[0] != "missing required field"]
    if errors:
        report._errors = errors
        raise ValidationException(f"Mock result of {resource}: {report.generate_report()}")


def _output_shape(service: str, action: str, *, is_waited_for: bool) -> Any:
    """The shape of the call's answer. For a task that waits: of the answer that describes its job or execution."""
    model, name = get_service_model(service), action[:1].upper() + action[1:]
    if is_waited_for:
        name = "DescribeExecution" if name == "StartExecution" else name.replace("Create", "Describe", 1)
    return model.operation_model(name).output_shape
