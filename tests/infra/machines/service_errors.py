"""The errors that a task can have, by its resource: those of AWS's model of the call, and those of Step Functions' own.

What a service's model does not name (throttling, validation, access) has the name of the service's base exception in
the SDK for Java: a throttled CreateTrainingJob is `SageMaker.AmazonSageMakerException: Rate exceeded`.
https://github.com/aws/aws-step-functions-data-science-sdk-python/pull/162"""

from __future__ import annotations

import re
from functools import cache

import botocore.session

PERMITTED = frozenset({"States.TaskFailed", "States.Timeout", "States.Permissions", "States.ALL"})
"""Of every task."""
LAMBDA = frozenset(
    {
        *(
            f"Lambda.{name}"
            for name in (
                "AWSLambdaException",
                "ClientExecutionTimeoutException",
                "SdkClientException",
                "Unknown",
            )
        ),
        "Runtime.ExitError",
        "KeyError",
        "AskerUnknownError",
        "EndpointChangingError",
    }
)
"""Of `lambda:invoke` besides the model's: of the SDK, an error that it could not read, a worker that was killed, and
the type of what a function raised.
https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
BASE = {
    "athena": frozenset({"Athena.AmazonAthenaException"}),
    "lambda": LAMBDA,
    "sagemaker": frozenset({"SageMaker.AmazonSageMakerException"}),
    "events": frozenset({"EventBridge.AmazonEventBridgeException", "EventBridge.FailedEntry"}),
    "sqs": frozenset({"SQS.AmazonSQSException", "SQS.SdkClientException"}),
    "states": frozenset({"StepFunctions.AWSStepFunctionsException"}),
}
"""Of Step Functions' own integrations. A failed entry of PutEvents:
https://docs.aws.amazon.com/step-functions/latest/dg/connect-eventbridge.html"""
OWN = {
    "athena": ("athena", "Athena"),
    "lambda": ("lambda", "Lambda"),
    "sagemaker": ("sagemaker", "SageMaker"),
    "events": ("events", "EventBridge"),
    "sqs": ("sqs", "SQS"),
    "states": ("stepfunctions", "StepFunctions"),
}
SDK = {
    "applicationautoscaling": ("application-autoscaling", "ApplicationAutoScaling"),
    "cloudwatch": ("cloudwatch", "CloudWatch"),
    "s3": ("s3", "S3"),
    "sagemaker": ("sagemaker", "SageMaker"),
}
"""botocore's name of a service, and how its errors begin: as the Java SDK writes the service."""


@cache
def errors_of(resource: str) -> frozenset[str]:
    """The names of all errors that the task can have; KeyError for a service that is not known here."""
    found = re.fullmatch(r"arn:aws:states:::(aws-sdk:)?(\w+):(\w+)(\.sync(:2)?)?", resource)
    if not found:
        raise KeyError(resource)
    service, action = found[2], found[3][:1].upper() + found[3][1:]
    name, prefix = (SDK if found[1] else OWN)[service]
    model = botocore.session.get_session().get_service_model(name)
    shapes = {shape.name for shape in model.operation_model(action).error_shapes}
    modelled = {f"{prefix}.{shape.removesuffix('Exception')}Exception" for shape in shapes}
    if name == "stepfunctions":
        # AWS's own example of a nested execution names it without `Exception`.
        # https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
        modelled |= {f"{prefix}.{shape}" for shape in shapes}
    base = {f"{prefix}.{prefix}Exception"} if found[1] else BASE[service]
    return frozenset(modelled | base | PERMITTED)
