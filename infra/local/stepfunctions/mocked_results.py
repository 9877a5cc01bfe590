"""Is the mocked result of a task what its service would answer? Checked against AWS's own model of the call.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_MockInput.html"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService

_RESOURCE = re.compile(r"arn:[\w-]+:states:::(?:aws-sdk:)?(\w+):(\w+)(\.sync(?::2)?|\.waitForTaskToken)?")
_AS_JSON = {"lambda": {"Payload"}, "stepfunctions": {"Input", "Output"}}
"""Fields that an integration gives as JSON where the API has text."""


def check_result(resource: str, result: Any, mode: str) -> None:
    """Raise ValidationException where AWS would. STRICT: all required fields are there, and all are of the API's type;
    PRESENT: those that are there are of its type; NONE: nothing is checked.

    What SendTaskSuccess would give, and what a job or an execution that is waited for says, has no model to check."""
    found = _RESOURCE.fullmatch(resource)
    if mode == "NONE" or not found or found[3] == ".waitForTaskToken":
        return
    service = StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.get(found[1], found[1])
    shape = _output_shape(service, found[2], is_waited_for=bool(found[3]))
    if shape is None:
        return
    if not isinstance(result, Mapping):
        raise ValidationException(f"Mock result of {resource}: expected an object, got {type(result).__name__}")
    known = {name[:1].upper() + name[1:]: name for name in shape.members}
    skipped = _AS_JSON.get(service, set())
    values = {known.get(key, key): value for key, value in result.items() if key not in skipped}
    report = ParamValidator().validate(values, shape)
    errors = [one for one in report._errors if mode == "STRICT" or one[0] != "missing required field"]
    if errors:
        report._errors = errors
        raise ValidationException(f"Mock result of {resource}: {report.generate_report()}")


def _output_shape(service: str, action: str, *, is_waited_for: bool) -> Any:
    """Of the call, or of the description of the job or execution that the task waits for."""
    model, name = get_service_model(service), action[:1].upper() + action[1:]
    if is_waited_for:
        name = "DescribeExecution" if name == "StartExecution" else name.replace("Create", "Describe", 1)
    return model.operation_model(name).output_shape
