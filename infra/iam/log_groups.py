"""Rights on log groups, log deliveries and traces."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.infra.iam.resource import Statement, every, resource
from millrace.names import Platform, WorkloadNames

DELIVERY = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery",
    "ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip
"""Actions that Step Functions needs to log at all. They take no resource."""
SENDING = ("PutTelemetryRecords", "PutTraceSegments")
SAMPLING = ("GetSamplingRules", "GetSamplingTargets")
_SEGMENTS = every("xray", because="Segments and sampling rules have no ARN; X-Ray asks for all")


def write(platform: Platform, group: str) -> Statement:
    """Write to one log group."""
    return resource(
        "logs",
        platform.arn("logs", f"log-group:{group}:*"),
        because="Lambda opens a log stream for each environment that it starts, and names it",
    ).may("CreateLogStream", "PutLogEvents")


def write_jobs(names: WorkloadNames, groups: Iterable[str]) -> Statement:
    """Make SageMaker's log groups with these beginnings, such as `TrainingJobs`, and write to them."""
    return resource(
        "logs",
        *(names.platform.arn("logs", f"log-group:/aws/sagemaker/{group}*") for group in groups),
        because="SageMaker makes one log group for each kind of job and one stream for each instance of it",
    ).may("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")


def deliver() -> Statement:
    """Let Step Functions deliver the log of a machine's executions."""
    return every("logs", because="Log deliveries have no ARN; Step Functions asks for all").may(*DELIVERY)


def write_of_apis(platform: Platform) -> list[Statement]:
    """Write the logs of the REST APIs of the account and region, for which API Gateway has one role.

    The actions are those of AmazonAPIGatewayPushToCloudWatchLogs, which has them on every resource.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html"""
    groups = resource(
        "logs",
        platform.arn("logs", "log-group:*"),
        because="API Gateway has one role for the logs of all APIs of the account",
    )
    listed = every("logs", because="The list of log groups takes no resource; API Gateway asks for it")
    return [
        groups.may(
            "CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "PutLogEvents"
        ),
        listed.may("DescribeLogGroups"),
    ]


def trace() -> Statement:
    """Send segments to X-Ray: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html."""
    return _SEGMENTS.may(*SENDING)


def trace_executions() -> Statement:
    """Send segments to X-Ray for the executions that the account's sampling rules choose.

    https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html"""
    return _SEGMENTS.may(*SENDING, *SAMPLING)
