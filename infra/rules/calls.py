"""Rules on the calls of machines: tried again, taken by their integration, with good names, and with a way back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Machine, Stack, Task, given, machines, tasks

WILDCARDS = {"States.TaskFailed", "States.ALL"}
THROTTLED = {
    "athena": "Athena.TooManyRequestsException",
    "lambda": "Lambda.TooManyRequestsException",
    "sagemaker": "SageMaker.AmazonSageMakerException",
    "states": "StepFunctions.AWSStepFunctionsException",
}
"""The error of a throttled call by Step Functions' own integration, by service. No SDK of ours tries such a call again.

https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
https://github.com/aws/aws-step-functions-data-science-sdk-python/pull/162"""
SDK = re.compile(r"(\w+)\.(\1|Throttling)Exception")
"""The error of a throttled call by `aws-sdk:`: the one that the service models, or the service's base exception."""
OWN = ":states:::sagemaker:"
"""The own integration in the ARN of a task, behind the partition."""
NAMES = {
    "createTrainingJob": ("TrainingJobName", 63),
    "createProcessingJob": ("ProcessingJobName", 63),
    "createTransformJob": ("TransformJobName", 63),
    "createModel": ("ModelName", 63),
    "createEndpointConfig": ("EndpointConfigName", 63),
    "createEndpoint": ("EndpointName", 63),
    "putMetricAlarm": ("AlarmName", 255),
    "putScalingPolicy": ("PolicyName", 256),
    "startExecution": ("Name", 80),
}
"""For each call, the parameter with the name and the most characters of it."""
LONGEST = {
    "$$.Execution.Name": 80,
    "$$.Execution.RedriveCount": 3,
    "$$.State.RetryCount": 1,
    "States.Hash($$.Execution.Name, 'SHA-1')": 40,
    "$.live_config.name": 63,
    "$.start_release.answer.label": len("v9999-1f0e4a"),
}
"""The most characters of each value, up to 999 redrives, nine retries and 9,999 versions."""
FORMAT, BETWEEN = re.compile(r"States\.Format\('([^']*)', (.+)\)"), re.compile(r", (?![^(]*\))")
"""The form of a name that is made at run time, and what separates its values: a comma in no inner call."""
PLAIN = r"[a-zA-Z0-9-]*"
WITHOUT_TRAFFIC = "-challenger"
"""End of the name of an endpoint that only answers the smoke test. An update of it needs no rollback."""
FLEET = "EndpointConfigName"
"""The dimension that separates the new fleet from the old. Errors of the old fleet must not roll back their own fix."""


def check_retries(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each task without a Retry for throttling, and for each task token without a time limit."""
    for task in tasks(stacks):
        if not task.state.get("Retry"):
            yield Finding(where=task.where, expected="Retry", came=None)
        elif not _is_carried(task):
            is_sdk = ":aws-sdk:" in task.state["Resource"]
            error = "throttling" if is_sdk else THROTTLED.get(task.service, "throttling")
            yield Finding(
                where=task.where, expected=f"Retry of {error} or of a wildcard", came=sorted(_retried(task.state))
            )
        waits = task.state["Resource"].endswith(".waitForTaskToken")
        if waits and not {"TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds"} & task.state.keys():
            yield Finding(where=task.where, expected="TimeoutSeconds with waitForTaskToken", came=None)


def _is_carried(task: Task) -> bool:
    # The name of a throttling error depends on how the service is called.
    retried = _retried(task.state)
    if retried & WILDCARDS:
        return True
    if ":aws-sdk:" in task.state["Resource"]:
        return any(SDK.fullmatch(one) for one in retried)
    return THROTTLED.get(task.service) in retried


def _retried(state: Mapping[str, Any]) -> set[str]:
    """The errors of all retriers that try at least once more."""
    return {error for one in state["Retry"] if one.get("MaxAttempts", 3) for error in one["ErrorEquals"]}


def check_integration(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each call by the own integration with SageMaker that does not wait for a job.

    Every other call goes by `aws-sdk:`, which takes every field of the API. The own integration only takes some of a
    request's fields. No page says that it takes EnableInterContainerTrafficEncryption. Only a training on several
    instances has this field, and it needs it. A definition with a field that it does not take is refused when the
    machine is made. Maybe `aws stepfunctions validate-state-machine-definition` says it before.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html"""
    for task in tasks(stacks):
        resource = str(task.state["Resource"])
        if OWN in resource and not resource.endswith(".sync"):
            yield Finding(where=task.where, expected=f"aws-sdk:sagemaker:{task.action} or .sync", came=resource)


def check_names(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each name that may be too long, has other characters, or is of unknown length.

    SageMaker refuses a job with a name of 64 characters."""
    for task in tasks(stacks, *NAMES):
        key, most = NAMES[task.action]
        if (name := given(task.parameters, key)) is None:
            continue
        # A name under a plain key is a literal; under `Name.$` it is an expression, in which a literal has quotes.
        written = f"'{name}'" if key in task.parameters else name
        length = longest(written)
        if length is None:
            expected = f"{key} made of values whose length LONGEST knows"
            yield Finding(where=task.where, expected=expected, came=name)
        elif length > most:
            yield Finding(where=task.where, expected=f"{key} of {most} characters at most", came=f"{name}: {length}")
        if not re.fullmatch(PLAIN, _parts(written)[0].replace("{}", "")):
            yield Finding(where=task.where, expected=f"{key} in letters, digits and hyphens", came=name)


def longest(expression: str) -> int | None:
    """The most characters of the name: of its literal parts and of its values together; None if one is unknown."""
    literal, values = _parts(expression)
    lengths = [LONGEST.get(value) for value in values]
    known = [length for length in lengths if length is not None]
    return None if len(known) < len(lengths) else len(literal.replace("{}", "")) + sum(known)


def _parts(expression: str) -> tuple[str, list[str]]:
    """A name's text with a placeholder `{}` for each value, and the values. A text in quotes has none."""
    if expression.startswith("'"):
        return expression.strip("'"), []
    found = FORMAT.fullmatch(expression)
    return (found[1], BETWEEN.split(found[2])) if found else ("{}", [expression])


def check_rollback(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each update without alarms, with alarms that no state makes, or with alarms that mix the fleets.

    Every update of an endpoint with traffic is watched by alarms on its new fleet, which bring the old fleet back.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html"""
    for machine in machines(stacks):
        for task in machine.tasks():
            name = str(task.parameters.get("EndpointName", ""))
            if task.action == "updateEndpoint" and not name.endswith(WITHOUT_TRAFFIC):
                yield from _update(machine, task)


def _update(machine: Machine, task: Task) -> Iterator[Finding]:
    alarms = given(task.parameters, "DeploymentConfig", "AutoRollbackConfiguration", "Alarms") or []
    if not alarms:
        yield Finding(where=task.where, expected="alarms in AutoRollbackConfiguration", came=alarms)
    if given(task.parameters, "RetainAllVariantProperties") is not True:
        expected = "RetainAllVariantProperties true: else the instances that scaling has set are lost"
        yield Finding(where=task.where, expected=expected, came=given(task.parameters, "RetainAllVariantProperties"))
    # The alarms that states of this machine make, by name: an intrinsic function, the same text in both states.
    made = {given(one.parameters, "AlarmName"): one for one in machine.tasks() if one.action == "putMetricAlarm"}
    for alarm in alarms:
        yield from _alarm(task.where, given(alarm, "AlarmName"), made)


def _alarm(where: str, name: Any, made: Mapping[Any, Task]) -> Iterator[Finding]:
    if name not in made:
        yield Finding(where=where, expected="an alarm that a state of this machine puts", came=name)
        return
    # An alarm that reads both fleets would be raised by the old one, and so refuse every fix of it.
    for metric in _metrics(made[name].parameters):
        dimensions = {given(one, "Name") for one in given(metric, "Dimensions") or []}
        if FLEET not in dimensions:
            yield Finding(where=made[name].where, expected=f"the dimension {FLEET}", came=sorted(map(str, dimensions)))
    if (missing := given(made[name].parameters, "TreatMissingData")) != "notBreaching":
        yield Finding(where=made[name].where, expected="TreatMissingData notBreaching", came=missing)


def _metrics(parameters: Any) -> list[Any]:
    """The metrics that the alarm reads: those of its queries, else the one that it names itself."""
    queries = given(parameters, "Metrics") or []
    return [metric for query in queries if (metric := given(query, "MetricStat", "Metric"))] or [parameters]
