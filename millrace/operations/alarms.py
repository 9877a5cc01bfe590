"""The operations alarms: alarms on metrics that AWS and our functions publish.

To add one, add a line in `ALARMS`, `ENDPOINT_ALARMS` or `STAGE_ALARMS`, and a section of the same name in
docs/runbooks.md.

    ALARMS           of each workload, on its queues
    consumer_alarms  of each workload with consumers, on their queues
    SECTION_ALARMS   of each workload with a stream, with jobs, or with a policy
    ENDPOINT_ALARMS  of each workload, on its live endpoint and its decisions
    STAGE_ALARMS     of each stage

Templates make all of them. The alarms on what monitors publish are in `millrace.monitoring.alarms`.

Prices: https://aws.amazon.com/cloudwatch/pricing/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from millrace.consumers.catalogue import queue_of
from millrace.names import AUDIT_CHAIN, JOBS, ROWS, VARIANT, Platform, WorkloadNames
from millrace.operations.dead_letters import DEAD_LETTERS, EVENTS, dead

if TYPE_CHECKING:
    from millrace.workload.declaration import Workload

Severity = Literal["act", "look"]
"""`act`: something is lost, refused or wrong until a person acts. `look`: it may pass without a person."""
Names = TypeVar("Names", Platform, WorkloadNames)
RUNBOOKS = "docs/runbooks.md"
USD_PER_METRIC = 0.10
"""The price of an alarm a month for each metric that it reads, also inside metric math."""
USD_PER_COMPOSITE = 0.50
"""The price of a composite alarm a month."""
AUDIT_AGE = "AuditAge"
"""The metric for how long a record has been in the audit table without a link of the chain, in milliseconds."""
WAITING_REVIEWS, REVIEW_AGE = "WaitingReviews", "ReviewAge"
"""The metrics of the sweep: how many decisions wait for a person, and how long the oldest does ÷ its bound."""
REFUSED_DROPS, REFUSED_SHARE, REFUSED_ROWS = "RefusedDrops", "RefusedShare", "RefusedRows"
"""The metrics of validation: drops without a good row, the refused share of a run's rows ÷ its bound, and refused rows,
also by the dimension `Reason`. A run without a refused row publishes none, since each costs by the month."""
REFUSED_CALLS = "RefusedCalls"
"""The metric of requests, of jobs and of batches of the stream of which no row kept the contract."""
LEAST_REQUESTS = 20
"""The least requests of a period for which errors and latency of an endpoint are judged.

With fewer requests a single one is too large a share. A request that the endpoint does not answer gets a fallback, and
fallbacks have an alarm of their own."""


@dataclass(frozen=True, kw_only=True)
class WatchedMetric:
    """One metric of CloudWatch, and the statistic of its values in a period."""

    namespace: str
    name: str
    statistic: str
    """CloudWatch's name of the statistic: `Sum`, `p99`."""
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OperationsAlarm(Generic[Names]):
    """An alarm that is raised if the value is above `threshold` in `needed` of `periods` periods."""

    severity: Severity
    description: str
    metrics: Callable[[Names], tuple[WatchedMetric, ...]]
    formula: str = ""
    """Metric math over the metrics, of which `m0` is the first. Empty: the largest metric counts."""
    threshold: float = 0
    declared: Callable[[Workload], float] | None = None
    """The threshold by the workload's declaration, in place of `threshold`."""
    period_s: int = 300
    is_aligned: bool = False
    """Whether only whole periods count, such as days that are over (UTC)."""
    periods: int = 1
    needed: int = 1
    missing: Literal["notBreaching", "ignore"] = "notBreaching"
    """What a period without data does. `notBreaching`: it is not above. `ignore`: the alarm keeps its state."""


def runbook(name: str) -> str:
    """The place of the runbook of this alarm or notice: `docs/runbooks.md#dead-letters`."""
    return f"{RUNBOOKS}#{name}"


def _queue(metric: str, name: str) -> WatchedMetric:
    return WatchedMetric(namespace="AWS/SQS", name=metric, statistic="Maximum", dimensions={"QueueName": name})


def _iterator_age(function: str) -> WatchedMetric:
    """How old the records are that the function gets from a stream, in milliseconds."""
    dimensions = {"FunctionName": function}
    return WatchedMetric(namespace="AWS/Lambda", name="IteratorAge", statistic="Maximum", dimensions=dimensions)


def _endpoint(names: WorkloadNames, metric: str, statistic: str, *, namespace: str = "AWS/SageMaker") -> WatchedMetric:
    dimensions = {"EndpointName": names.endpoint, "VariantName": VARIANT}
    return WatchedMetric(namespace=namespace, name=metric, statistic=statistic, dimensions=dimensions)


def _of_requests(severity: Severity, description: str, *metrics: tuple[str, str], **given: Any) -> OperationsAlarm[Any]:
    """The alarm on a figure of the endpoint's requests, of three periods, and the count of them."""
    return OperationsAlarm(
        severity=severity,
        description=description,
        metrics=lambda names: tuple(_endpoint(names, *metric) for metric in metrics),
        formula=f"IF(m1 >= {LEAST_REQUESTS}, m0, 0)",
        periods=3,
        **given,
    )


def own_metric(names: WorkloadNames, metric: str, statistic: str) -> WatchedMetric:
    """A metric that functions of the workload publish."""
    return WatchedMetric(
        namespace=names.platform.metrics, name=metric, statistic=statistic, dimensions={"Workload": names.workload}
    )


VISIBLE, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
LATE_S = 1800
"""After so many seconds whatever waits in a queue is late."""


def _of_queues(
    metric: str, *queues: str, severity: Severity, description: str, threshold: float
) -> OperationsAlarm[Any]:
    """The alarm on queues of a workload or a stage, by their names there."""
    return OperationsAlarm(
        severity=severity,
        description=description,
        metrics=lambda names: tuple(_queue(metric, names.queue(name)) for name in queues),
        threshold=threshold,
    )


def _dead(*queues: str, description: str) -> OperationsAlarm[Any]:
    """The alarm on the dead letters of these queues."""
    return _of_queues(VISIBLE, *map(dead, queues), severity="act", description=description, threshold=0)


def _late(*queues: str, description: str) -> OperationsAlarm[Any]:
    """The alarm on these queues, if something has been in one for LATE_S."""
    return _of_queues(AGE, *queues, severity="look", description=description, threshold=LATE_S)


def own_alarm(
    metric: str, severity: Severity, description: str, *, statistic: str = "Maximum", **bound: Any
) -> OperationsAlarm[WorkloadNames]:
    """The alarm on a metric that functions of the workload publish."""
    return OperationsAlarm(
        severity=severity,
        description=description,
        metrics=lambda names: (own_metric(names, metric, statistic),),
        **bound,
    )


ALARMS: dict[str, OperationsAlarm[WorkloadNames]] = {
    "dead-letters": _dead(
        *DEAD_LETTERS, description="a message is in a dead-letter queue: a drop or a decision was given up"
    ),
    "oldest-drop": _late(
        "drops", description="a drop has been in its queue for half an hour without being taken or put back"
    ),
    "refused-drops": own_alarm(
        REFUSED_DROPS,
        "act",
        "every row of a drop was refused: its sender writes something else than the contract says",
        statistic="Sum",
    ),
    "refused-share": own_alarm(
        REFUSED_SHARE,
        "look",
        "a larger share of a drop's rows was refused than is declared, and than three times the usual one",
        threshold=1,
    ),
    # One such request is somebody who tries: its answer says what is wrong. So it takes two of the periods of an hour.
    "refused-calls": own_alarm(
        REFUSED_CALLS,
        "act",
        "no row of a request kept the contract, in two periods of an hour: its caller sends something else",
        statistic="Sum",
        periods=12,
        needed=2,
    ),
}
"""The alarms of each workload, by their names as `WorkloadNames.alarm` takes them."""

ENDPOINT_ALARMS: dict[str, OperationsAlarm[WorkloadNames]] = {
    "prediction-errors": OperationsAlarm(
        severity="act",
        description="the prediction function failed, or the live endpoint is gone: no model answers",
        metrics=lambda names: (
            WatchedMetric(
                namespace="AWS/Lambda",
                name="Errors",
                statistic="Sum",
                dimensions={"FunctionName": names.function("prediction")},
            ),
            own_metric(names, "Unavailable", "Sum"),
        ),
    ),
    # One request that was too slow gets a fallback too. So it takes two of the twelve periods of an hour.
    "fallbacks": own_alarm(
        "Fallbacks",
        "act",
        "the endpoint gave no answer: callers got the declared fallback, in two periods of an hour",
        statistic="Sum",
        periods=12,
        needed=2,
    ),
    # SageMaker sends 1 for a request that failed and 0 for any other. So the average is the share that failed:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
    "endpoint-errors": _of_requests(
        "act",
        "more than 5 % of the live endpoint's requests fail with 5xx, in two of three periods of 5 minutes",
        ("Invocation5XXErrors", "Average"),
        ("Invocations", "Sum"),
        threshold=0.05,
        needed=2,
    ),
    # CloudWatch can ignore a percentile of few samples by itself, but for p99 that is below 1,000 requests a period:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#percentiles-with-low-samples
    "endpoint-latency": _of_requests(
        "look",
        "p99 of the live endpoint is above what the gate allows, in three periods of 5 minutes in a row",
        ("ModelLatency", "p99"),
        ("ModelLatency", "SampleCount"),
        declared=lambda workload: workload.gates.latency.max_p99_ms * 1000,
        needed=3,
    ),
    # Scaling follows within minutes, so half an hour above what it aims at means that the fleet may not grow further.
    "endpoint-load": OperationsAlarm(
        severity="look",
        description="an instance gets more requests than declared for half an hour: the fleet is at its most",
        metrics=lambda names: (_endpoint(names, "InvocationsPerInstance", "Sum"),),
        declared=lambda workload: workload.rollout.invocations_per_instance * 5,
        periods=6,
        needed=6,
    ),
    # https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html#cloudwatch-metrics-endpoints
    "endpoint-memory": OperationsAlarm(
        severity="look",
        description="an instance has used more than 90 % of its memory for a quarter of an hour",
        metrics=lambda names: (_endpoint(names, "MemoryUtilization", "Maximum", namespace="/aws/sagemaker/Endpoints"),),
        threshold=90,
        periods=3,
        needed=3,
    ),
    # If fewer decisions are written than made, nothing else tells: nothing fails, and the queue keeps them for 14 days.
    "late-decisions": _late(
        "decisions", description="a decision has been in its queue for half an hour: more are made than are written"
    ),
}
"""The alarms on the live endpoint, by name. They notify nobody themselves; the composite alarm `SERVING` does."""


def serving_alarms(workload: Workload) -> dict[str, OperationsAlarm[WorkloadNames]]:
    """Those of ENDPOINT_ALARMS that the workload has: without an endpoint none on its own figures."""
    hosted = workload.rollout.has_no_endpoint
    return {name: one for name, one in ENDPOINT_ALARMS.items() if not (hosted and name.startswith("endpoint-"))}


SERVING = "serving"
COMPOSITE = OperationsAlarm[WorkloadNames](
    severity="act",
    description="the live endpoint fails, lags, has others answer for it or is not recorded: one message for all",
    metrics=lambda _: (),
)
"""The alarm `SERVING`, which reads no metric: it is in ALARM while any of `serving_alarms` is, and notifies in their
place. A broken endpoint raises several of them at once, and people get one message."""


def consumer_alarms(consumers: Iterable[str]) -> dict[str, OperationsAlarm[WorkloadNames]]:
    """The alarms on the queues of a workload's consumers, by name; none without a consumer."""
    own = [queue_of(name) for name in consumers]
    if not own:
        return {}
    return {
        "dead-consumers": _dead(
            *own, description="a consumer has not taken decisions for hours: they are in its dead letters"
        ),
        "late-consumers": _late(
            *own,
            description="decisions have been in the queue of a consumer for half an hour: it is down, or too slow",
        ),
    }


STREAM_ALARMS: dict[str, OperationsAlarm[WorkloadNames]] = {
    "dead-rows": _dead(
        ROWS, description="a record of the stream has no decision: it is no row of the contract, or was given up"
    ),
    "late-rows": OperationsAlarm(
        severity="look",
        description="a record of the stream waits for its decision for half an hour",
        metrics=lambda names: (_iterator_age(names.function("stream")),),
        threshold=LATE_S * 1000,
    ),
}
"""The alarms of each workload with a stream, by name. The stream keeps a record for a day."""


JOB_ALARMS: dict[str, OperationsAlarm[WorkloadNames]] = {
    "dead-jobs": _dead(JOBS, description="nobody could answer a job: its caller reads that it has failed"),
    "late-jobs": _late(
        JOBS, description="a job has been in its queue for half an hour: more are left than are worked off"
    ),
}
"""The alarms of each workload with jobs, by name."""


REVIEW_ALARMS: dict[str, OperationsAlarm[WorkloadNames]] = {
    # The sweep publishes the metric each hour while something waits. A sweep that starts late leaves out an hour.
    "late-reviews": own_alarm(
        REVIEW_AGE,
        "act",
        "a decision has waited for a person for longer than `policy.review.alarm_hours`",
        threshold=1,
        period_s=3600,
        periods=2,
    ),
}
"""The alarms of each workload with a policy, by name."""


SECTION_ALARMS = {"stream": STREAM_ALARMS, "jobs": JOB_ALARMS, "policy": REVIEW_ALARMS}
"""The alarms that a section of workload.yaml brings, by the section."""


UNDELIVERED = "undelivered"
"""The alarm that tells people that something which was to be told was not. It alone sends its message itself."""
STAGE_ALARMS: dict[str, OperationsAlarm[Platform]] = {
    # All functions of an account and region share their concurrency, so the metric without a dimension is watched:
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "throttles": OperationsAlarm(
        severity="look",
        description="Lambda refused calls: the account's concurrent executions are used up",
        metrics=lambda _: (WatchedMetric(namespace="AWS/Lambda", name="Throttles", statistic="Sum"),),
        periods=3,
        needed=2,
    ),
    UNDELIVERED: _dead(
        EVENTS, description="an event reached neither its machine or function nor the topic of alarms or the chat"
    ),
    # A stream keeps a record for a day, so an alarm after an hour is in time. If Lambda may not read the stream, the
    # function is not called and has no IteratorAge. So the sweep counts the links, and publishes a lag as AUDIT_AGE.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    "late-audit": OperationsAlarm(
        severity="act",
        description="changes of the audit table are an hour late in the chain, and lost after a day",
        metrics=lambda names: (
            _iterator_age(names.function(AUDIT_CHAIN)),
            WatchedMetric(
                namespace=names.metrics, name=AUDIT_AGE, statistic="Maximum", dimensions={"Stage": names.stage}
            ),
        ),
        threshold=3600 * 1000,
        period_s=3600,
    ),
}
"""The alarms of each stage, by their names as `Platform.alarm` takes them."""
