"""Rule: every update of an endpoint with traffic is watched by alarms on its new fleet, which bring the old fleet back.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Machine, Stack, Task, given, machines

WITHOUT_TRAFFIC = "-challenger"
"""End of the name of an endpoint that only answers the smoke test. An update of it needs no rollback."""
MOST_ALARMS, MOST_CANARY_PERCENT = 10, 50
FLEET = "EndpointConfigName"
"""The dimension that separates the new fleet from the old. Errors of the old fleet must not roll back their own fix."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each update without alarms, with alarms that no state makes, or with alarms that mix the fleets."""
    for machine in machines(stacks):
        for task in machine.tasks():
            name = str(task.parameters.get("EndpointName", ""))
            if task.action == "updateEndpoint" and not name.endswith(WITHOUT_TRAFFIC):
                yield from _update(machine, task)


def _update(machine: Machine, task: Task) -> Iterator[Finding]:
    config = given(task.parameters, "DeploymentConfig")
    alarms = given(config, "AutoRollbackConfiguration", "Alarms") or []
    if not 1 <= len(alarms) <= MOST_ALARMS:
        yield Finding(where=task.where, expected=f"1 to {MOST_ALARMS} alarms in AutoRollbackConfiguration", came=alarms)
    if given(task.parameters, "RetainAllVariantProperties") is not True:
        expected = "RetainAllVariantProperties true: else the instances that scaling has set are lost"
        yield Finding(where=task.where, expected=expected, came=given(task.parameters, "RetainAllVariantProperties"))
    yield from _policy(task.where, given(config, "BlueGreenUpdatePolicy"))
    # The alarms that states of this machine make, by name: an intrinsic function, the same text in both states.
    made = {given(one.parameters, "AlarmName"): one for one in machine.tasks() if one.action == "putMetricAlarm"}
    for alarm in alarms:
        yield from _alarm(task.where, given(alarm, "AlarmName"), made)


def _policy(where: str, policy: Any) -> Iterator[Finding]:
    routing = given(policy, "TrafficRoutingConfiguration")
    watched, limit = given(policy, "TerminationWaitInSeconds"), given(policy, "MaximumExecutionTimeoutInSeconds")
    if not watched:
        yield Finding(
            where=where, expected="TerminationWaitInSeconds: the old fleet stays while it bakes", came=watched
        )
    # SageMaker's time limit counts the waits, too: a shorter one would end each update.
    waits = (watched or 0) + (given(routing, "WaitIntervalInSeconds") or 0)
    if limit is not None and limit <= waits:
        yield Finding(where=where, expected=f"MaximumExecutionTimeoutInSeconds above the waits ({waits})", came=limit)
    size = given(routing, "CanarySize")
    if given(size, "Type") == "CAPACITY_PERCENT" and given(size, "Value") > MOST_CANARY_PERCENT:
        yield Finding(where=where, expected=f"a canary of {MOST_CANARY_PERCENT} percent at most", came=size)


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
