"""Every update of an endpoint with traffic is watched by alarms of its own fleet, which bring the old one back.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.rules.assembly import Machine, Stack, Task, given, machines
from infra.rules.finding import Finding

WITHOUT_TRAFFIC = "-challenger"
"""Such an endpoint answers the smoke test only: an update of it needs no rollback."""
MOST_ALARMS, MOST_CANARY_PERCENT = 10, 50
FLEET = "EndpointConfigName"
"""The dimension that separates the new fleet from the old: the old fleet's errors must not roll back their own fix."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each update without alarms, with alarms that no state creates, or that mix both fleets."""
    for machine in machines(stacks):
        for task in machine.tasks():
            if task.action == "updateEndpoint" and not _is_without_traffic(task):
                yield from _update(machine, task)


def _is_without_traffic(task: Task) -> bool:
    return str(task.parameters.get("EndpointName", "")).endswith(WITHOUT_TRAFFIC)


def _update(machine: Machine, task: Task) -> Iterator[Finding]:
    config = given(task.parameters, "DeploymentConfig")
    alarms = given(config, "AutoRollbackConfiguration", "Alarms") or []
    if not 1 <= len(alarms) <= MOST_ALARMS:
        yield Finding(where=task.where, expected=f"1 to {MOST_ALARMS} alarms in AutoRollbackConfiguration", came=alarms)
    if given(task.parameters, "RetainAllVariantProperties") is not True:
        expected = "RetainAllVariantProperties true: else the instances that scaling has set are lost"
        yield Finding(where=task.where, expected=expected, came=given(task.parameters, "RetainAllVariantProperties"))
    yield from _policy(task.where, given(config, "BlueGreenUpdatePolicy"))
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
    for metric in _metrics(made[name].parameters):
        dimensions = {given(one, "Name") for one in given(metric, "Dimensions") or []}
        if FLEET not in dimensions:
            yield Finding(where=made[name].where, expected=f"the dimension {FLEET}", came=sorted(map(str, dimensions)))
    if (missing := given(made[name].parameters, "TreatMissingData")) != "notBreaching":
        yield Finding(where=made[name].where, expected="TreatMissingData notBreaching", came=missing)


def _metrics(parameters: Any) -> list[Any]:
    """What the alarm reads: of metric math each metric, else the one that it names itself."""
    queries = given(parameters, "Metrics") or []
    return [metric for query in queries if (metric := given(query, "MetricStat", "Metric"))] or [parameters]
