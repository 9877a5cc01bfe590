"""Rights on state machines and their executions."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.names import WorkloadNames


def machines(names: WorkloadNames, *which: str) -> Resource:
    return resource("states", *(names.machine_arn(machine) for machine in which))


def executions(names: WorkloadNames, *which: str, because: str) -> Resource:
    """All executions of the machines."""
    return resource("states", *(names.execution_arn(machine) for machine in which), because=because)


def askers(names: WorkloadNames, *which: str) -> list[Statement]:
    """Learn who started executions of the machines (`millrace.release.askers`)."""
    return [
        executions(names, *which, because="The executions whose starter is asked for").may("DescribeExecution"),
        every("cloudtrail", because="LookupEvents takes no resource").may("LookupEvents"),
    ]


def wait_for(names: WorkloadNames, *sources: str) -> Statement:
    """Make and change the rules by which Step Functions learns that a job or an execution (`.sync`) has ended.

    https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html"""
    rules = [names.platform.arn("events", f"rule/StepFunctionsGetEventsFor{source}Rule") for source in sources]
    return resource("events", *rules).may("PutTargets", "PutRule", "DescribeRule")
