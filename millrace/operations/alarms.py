"""The alarms on what AWS and the prediction function publish: add one by a line in `ALARMS` or `STAGE_ALARMS`, and a
section of the same name in docs/runbooks.md.

CloudWatch bills an alarm by the metrics that it reads, also inside metric math: `USD_PER_METRIC` a month each.
https://aws.amazon.com/cloudwatch/pricing/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from millrace.names import VARIANT, Platform, WorkloadNames
from millrace.operations.dead_letters import DEAD_LETTERS, dead

Severity = Literal["act", "look"]
"""`act`: something is lost, refused or wrong until a person acts. `look`: it may pass by itself."""
Names = TypeVar("Names", Platform, WorkloadNames)
RUNBOOKS = "docs/runbooks.md"
USD_PER_METRIC = 0.10
NOTIFICATIONS = "notifications-dead"
"""The stage's queue of notifications that did not reach the topic, as `Platform.queue` takes it."""


@dataclass(frozen=True, kw_only=True)
class WatchedMetric:
    """One metric of CloudWatch."""

    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OperationsAlarm(Generic[Names]):
    """An alarm above `threshold` in `needed` of `periods` periods; a period without data does not breach."""

    severity: Severity
    description: str
    """When it is raised."""
    metrics: Callable[[Names], tuple[WatchedMetric, ...]]
    """What it reads; of several metrics the largest value counts."""
    statistic: str
    """As CloudWatch names it: `Sum`, `p99`."""
    threshold: float | None = 0
    """None: what the workload's gate `latency` allows, in microseconds."""
    period_s: int = 300
    periods: int = 1
    needed: int = 1

    def usd_per_month(self, names: Names) -> float:
        return USD_PER_METRIC * len(self.metrics(names))


def runbook(name: str) -> str:
    """Where the runbook of this alarm or notice is."""
    return f"{RUNBOOKS}#{name}"


def _queue(metric: str, name: str) -> WatchedMetric:
    return WatchedMetric(namespace="AWS/SQS", name=metric, dimensions={"QueueName": name})


def _endpoint(metric: str) -> Callable[[WorkloadNames], tuple[WatchedMetric, ...]]:
    def metrics(names: WorkloadNames) -> tuple[WatchedMetric, ...]:
        dimensions = {"EndpointName": names.endpoint, "VariantName": VARIANT}
        return (WatchedMetric(namespace="AWS/SageMaker", name=metric, dimensions=dimensions),)

    return metrics


ALARMS: dict[str, OperationsAlarm[WorkloadNames]] = {
    "dead-letters": OperationsAlarm(
        severity="act",
        description="a message is in a dead-letter queue: a drop, an event or a decision was given up",
        metrics=lambda names: tuple(
            _queue("ApproximateNumberOfMessagesVisible", names.queue(dead(name))) for name in DEAD_LETTERS
        ),
        statistic="Maximum",
    ),
    "oldest-drop": OperationsAlarm(
        severity="look",
        description="a drop has been in its queue for half an hour without being taken or put back",
        metrics=lambda names: (_queue("ApproximateAgeOfOldestMessage", names.queue("drops")),),
        statistic="Maximum",
        threshold=1800,
    ),
    "prediction-errors": OperationsAlarm(
        severity="act",
        description="the prediction function failed: its callers got an error and no answer",
        metrics=lambda names: (
            WatchedMetric(
                namespace="AWS/Lambda", name="Errors", dimensions={"FunctionName": names.function("prediction")}
            ),
        ),
        statistic="Sum",
    ),
    "fallbacks": OperationsAlarm(
        severity="act",
        description="the endpoint gave no answer: callers got the declared fallback",
        metrics=lambda names: (
            WatchedMetric(namespace="Millrace", name="Fallbacks", dimensions={"Workload": names.workload}),
        ),
        statistic="Sum",
    ),
    # 1 for a request that failed and 0 for any other, so the average is the share of requests that failed:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
    # Where requests are few one of them is a large share; two periods of three take two failures, minutes apart.
    "endpoint-errors": OperationsAlarm(
        severity="act",
        description="more than 5 % of the live endpoint's requests fail with 5xx, in two of three periods of 5 minutes",
        metrics=_endpoint("Invocation5XXErrors"),
        statistic="Average",
        threshold=0.05,
        periods=3,
        needed=2,
    ),
    "endpoint-latency": OperationsAlarm(
        severity="look",
        description="p99 of the live endpoint is above what the gate allows, in three periods of 5 minutes in a row",
        metrics=_endpoint("ModelLatency"),
        statistic="p99",
        threshold=None,
        periods=3,
        needed=3,
    ),
}
"""Of each workload, by name, as `WorkloadNames.alarm` takes it. No name begins with `v`: those are alarms of releases,
which are deleted by that beginning."""

STAGE_ALARMS: dict[str, OperationsAlarm[Platform]] = {
    # Concurrency is shared by all functions of an account and region, so is the metric without a dimension:
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "throttles": OperationsAlarm(
        severity="look",
        description="Lambda refused calls: the account's concurrent executions are used up",
        metrics=lambda _: (WatchedMetric(namespace="AWS/Lambda", name="Throttles"),),
        statistic="Sum",
        periods=3,
        needed=2,
    ),
    "undelivered": OperationsAlarm(
        severity="act",
        description="a notification of EventBridge did not reach the topic",
        metrics=lambda names: (_queue("ApproximateNumberOfMessagesVisible", names.queue(NOTIFICATIONS)),),
        statistic="Maximum",
    ),
}
"""Of each stage, by name, as `Platform.alarm` takes it."""
