"""Reports SQS's gauges of the queues at which an alarm looks.

AWS reports the gauges of every queue each minute. Here they are read whenever alarms are evaluated."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from infra.local.cloudwatch.metric_store import Point, key_of
from infra.local.cloudwatch.metrics import Metrics
from infra.local.kernel.cloud import ACCOUNT, Cloud

NAMESPACE = "AWS/SQS"


def report(cloud: Cloud, alarms: list[Any]) -> None:
    """Put the gauges of each queue that one of the alarms names, without starting another evaluation."""
    models: Any = import_module("moto.sqs.models")
    queues = models.sqs_backends[ACCOUNT][cloud.region].queues
    metrics: Metrics = cloud.parts[Metrics]
    for name in {name for alarm in alarms for name in _queues_of(alarm)}:
        if name in queues:
            now = cloud.clock.timestamp()
            for metric, value in _gauges(queues[name], now).items():
                point = Point(timestamp=now, total=value, count=1, lowest=value, highest=value)
                # Into the store itself: `metrics.keep` would ask for an evaluation of the alarms, which is under way.
                metrics.store.add_changed(key_of(NAMESPACE, metric, {"QueueName": name}), point)


def _queues_of(alarm: Any) -> list[str]:
    stats = [query.metric_stat.metric for query in alarm.metric_data_queries if query.metric_stat] or [alarm]
    named = [metric for metric in stats if metric.namespace == NAMESPACE]
    return [one.value for metric in named for one in metric.dimensions if one.name == "QueueName"]


def _gauges(queue: Any, now: float) -> dict[str, float]:
    # `_messages` of moto holds the visible messages, those in flight and the delayed ones; `messages` the visible ones.
    messages = list(queue._messages)
    oldest = min((message.sent_timestamp / 1000 for message in messages), default=now)
    return {
        "ApproximateNumberOfMessagesVisible": float(len(queue.messages)),
        "ApproximateNumberOfMessagesNotVisible": float(sum(not message.visible for message in messages)),
        "ApproximateAgeOfOldestMessage": max(0.0, now - oldest),
    }
