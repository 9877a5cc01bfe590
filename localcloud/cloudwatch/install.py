"""Amazon CloudWatch: metrics and alarms.

AWS does: keep data points, compute percentiles and metric math, evaluate alarms each minute, notify bus and topics.
moto does: compute no percentiles and no math, evaluate no alarm, send nothing.
We do: keep the points in our own store. Evaluate alarms after each metric, each move of the clock and every 5 seconds.
Weaker: a move of the clock is judged at its end only. Insights, SEARCH and anomaly detection are refused by name.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from localcloud.cloudwatch import alarm_messages
from localcloud.cloudwatch.alarm_evaluation import COMPARISONS, RANGE_BEYOND, Rule, judge
from localcloud.cloudwatch.alarm_messages import State, state_of
from localcloud.cloudwatch.metric_store import Point, key_of
from localcloud.cloudwatch.metrics import Metrics, keep_metrics
from localcloud.events import targets
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.dispatcher import dispatcher
from localcloud.kernel.patching import replace

# Composite alarms: PutCompositeAlarm, which moto lacks, and the rule, such as `ALARM("a") OR OK("b")`.
#
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html

NOT_COVERED = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_STATE = r"""(ALARM|OK|INSUFFICIENT_DATA)\(["']?([^"')]+)["']?\)"""


def take_composite_alarms() -> None:
    """Let PutCompositeAlarm make an alarm with a rule. May go when moto answers the call itself."""
    exceptions: Any = import_module("moto.cloudwatch.exceptions")
    responses: Any = import_module("moto.cloudwatch.responses").CloudWatchResponse

    def put_composite_alarm(self: Any) -> Any:
        for name in NOT_COVERED:
            if self._get_param(name) is not None:
                raise exceptions.ValidationError(f"{name} is not covered by the local cloud")
        rule = self._get_param("AlarmRule")
        if not re.fullmatch(rf"{_STATE}(?: OR {_STATE})*", rule):
            raise exceptions.ValidationError(f"AlarmRule {rule} is not covered: expected states of alarms joined by OR")
        # moto's handler of PutMetricAlarm reads AlarmRule too.
        return self.put_metric_alarm()

    replace(responses, put_composite_alarm=put_composite_alarm)


def holds(rule: str, states: Mapping[str, str]) -> bool:
    """Whether the rule is true. `states` has the state of each alarm by its name; the rule may name an alarm by ARN.

    Raises ValueError if the rule names an alarm that does not exist."""
    asked = [(state, name.rsplit(":alarm:", 1)[-1]) for state, name in re.findall(_STATE, rule)]
    if unknown := {name for _, name in asked} - states.keys():
        raise ValueError(f"alarm rule names {sorted(unknown)}, which are no alarms")
    return any(states[name] == state for state, name in asked)


# Evaluates alarms, and sends what AWS sends when one changes its state.
#
# Periods begin at multiples of their own length. The period under way counts as soon as it has data, unless later data
# could undo a breach (a sum that is too low so far), or the alarm has a WallClockWindow. Not evaluated: low sample
# counts, mute rules. Refused by name: anomaly alarms, suppression of a composite alarm's actions, a WallClockWindow's
# time zone.
#
#     PutMetricData, PutMetricAlarm -> evaluate_soon -> (0.05 s later, on a thread of the dispatcher) evaluate
#     a move of the clock           -> evaluate, before the move returns
#     every 5 s                     -> evaluate

LOG = logging.getLogger(__name__)
TICK_S = 5.0
"""Real seconds between two evaluations that nothing asks for. Missing data changes an alarm as time passes."""
ALIGNED_S = {60, 300, 3600, 86400, 604800}
"""The lengths of periods that a WallClockWindow may have."""
DEBOUNCE_S = 0.05
"""Seconds from a metric to the evaluation. A function's log brings many metrics at once: one evaluation does."""


class Alarms:
    """Evaluates the cloud's alarms, one evaluation at a time."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._evaluating = threading.Lock()
        self._begun = 0
        """How many evaluations have begun."""
        self._is_due = threading.Event()
        """Set while an evaluation is submitted that has not begun."""
        self.aligned: set[str] = set()
        """The names of alarms with a WallClockWindow, of which no period counts before it is over."""
        self._refused: set[str] = set()
        """The names of alarms that cannot be evaluated and are in the log already."""

    def evaluate_soon(self) -> None:
        """Submit one evaluation for all that is put within `DEBOUNCE_S`. Until it has run, the cloud is not idle."""
        # An evaluation sees all metrics that were put before it began. It clears the flag when it begins, so a metric
        # that is put while it runs asks for another one.
        if self._all() and not self._is_due.is_set():
            self._is_due.set()
            dispatcher(self._cloud).submit("evaluation of alarms", self.evaluate, after_s=DEBOUNCE_S)

    def evaluate(self) -> None:
        """Evaluate all alarms. Returns when each alarm has the state that its metrics ask for."""
        # Who waits at the lock shares an evaluation: if one has begun since the call and has ended by now, it has seen
        # all that the caller put. Under load the callers would otherwise pile up at the lock, one evaluation each.
        before = self._begun
        with self._evaluating:
            if self._begun > before:
                return
            self._begun += 1
            self._is_due.clear()
            report_queues(self._cloud, self._all())
            # Composite alarms come last: they read the states that the others have just got.
            for alarm in sorted(self._all(), key=lambda alarm: bool(alarm.rule)):
                try:
                    if alarm.rule:
                        self._evaluate_composite(alarm)
                    else:
                        self._evaluate_one(alarm)
                except ValueError as error:
                    self._refuse(alarm, error)

    def change(self, alarm: Any, value: str, reason: str, data: str) -> None:
        """Put the alarm into the state `value`. If that is a change, the bus and the alarm's actions get it."""
        before = state_of(alarm)
        alarm.update_state(reason, data, value)
        if before.value == value:
            return
        detail = alarm_messages.event_detail(alarm, before)
        self._cloud.emit("aws.cloudwatch", "CloudWatch Alarm State Change", detail, resources=[alarm.alarm_arn])
        if alarm.actions_enabled:
            by_state = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
            for arn in by_state.get(alarm.state_value, alarm.insufficient_data_actions) or ():
                # A scaling policy is no action here: scaling reads the state of the alarm itself, and does so as long
                # as the state is ALARM.
                if arn.split(":")[2] != "autoscaling":
                    self._act(alarm, before, arn)

    def _all(self) -> list[Any]:
        return list(moto_backend("cloudwatch", self._cloud.region).alarms.values())

    def _evaluate_one(self, alarm: Any) -> None:
        rule = _rule(alarm)
        period_s = _period_s(alarm)
        now = self._cloud.clock.now()
        series = self._series(alarm, rule, period_s, now.timestamp())
        judgement = judge(rule, series, alarm.state_value)
        if judgement.state != alarm.state_value:
            data = alarm_messages.reason_data(alarm, rule, judgement, period_s, now)
            self.change(alarm, judgement.state, judgement.reason, data)

    def _evaluate_composite(self, alarm: Any) -> None:
        by_name = {other.name: other.state_value for other in self._all()}
        value = "ALARM" if holds(alarm.rule, by_name) else "OK"
        if value != alarm.state_value:
            self.change(alarm, value, f"{alarm.rule} is {'true' if value == 'ALARM' else 'false'}", "")

    def _series(self, alarm: Any, rule: Rule, period_s: int, now: float) -> list[tuple[float, float | None]]:
        """The periods of the evaluation range as (start, value), oldest first.

        The period under way is among them only if it has data that can be judged."""
        # Periods begin at multiples of their length, whatever the time is. The period under way takes the place of the
        # oldest one, so that a breach is seen at once and the range keeps its length.
        metrics: Metrics = self._cloud.parts[Metrics]
        under_way = now // period_s * period_s
        count = rule.evaluation_periods + RANGE_BEYOND
        queries = _queries(alarm)
        # The end is exclusive: with 1 ms more a metric that was put right now counts.
        wanted = next(query["Id"] for query in queries if query["ReturnData"])
        found = metrics.series(queries, under_way - count * period_s, now + 0.001)[wanted]
        starts = [under_way - n * period_s for n in range(count, 0, -1)]
        # A breach may still be undone: a sum that is too low so far may be high enough when its period is over.
        may_rise = alarm.comparison_operator.startswith("LessThan") and alarm.statistic in ("Sum", "SampleCount")
        if under_way in found and not may_rise and alarm.name not in self.aligned:
            starts = [*starts[1:], under_way]
        return [(at, found.get(at)) for at in starts]

    def _act(self, alarm: Any, before: State, arn: str) -> None:
        # Sent from the dispatcher: the evaluation, and a move of the clock, do not wait for receivers.
        subject, message = alarm_messages.notification(alarm, before, self._cloud.region)
        service = "cloudwatch.amazonaws.com"
        if ":lambda:" in arn:
            service = "lambda.alarms.cloudwatch.amazonaws.com"
            subject, message = "", json.dumps(alarm_messages.function_payload(alarm, before, self._cloud.region))

        def send() -> None:
            try:
                targets.send(self._cloud, arn, message, subject=subject, sender=(service, alarm.alarm_arn))
            except targets.Undelivered as error:
                LOG.warning("alarm %s: action %s failed: %s", alarm.name, arn, error)

        dispatcher(self._cloud).submit(f"action of alarm {alarm.name}", send)

    def _refuse(self, alarm: Any, error: ValueError) -> None:
        if alarm.name not in self._refused:
            self._refused.add(alarm.name)
            LOG.error("alarm %s is not evaluated: %s", alarm.name, error)


def evaluate_alarms(cloud: Cloud) -> None:
    """Evaluate the cloud's alarms from now on. Needs `Metrics`, which `keep_metrics` makes."""
    models: Any = import_module("moto.cloudwatch.models")
    alarms = cloud.parts[Alarms] = Alarms(cloud)
    cloud.parts[Metrics].listener = alarms.evaluate_soon
    cloud.clock.on_move(lambda _before, _after: alarms.evaluate())
    _start_without_data(models.CloudWatchBackend, alarms)
    _take_windows(import_module("moto.cloudwatch.responses").CloudWatchResponse, alarms)
    _send_forced_states(models.CloudWatchBackend, alarms)
    cloud.every(TICK_S, "alarms", alarms.evaluate)


def _start_without_data(backend: Any, alarms: Alarms) -> None:
    # moto makes an alarm whose state is OK, and replaces the whole alarm at an update. May go when moto begins with
    # INSUFFICIENT_DATA and keeps the state.
    put = backend.put_metric_alarm

    def put_metric_alarm(self: Any, *arguments: Any, **named: Any) -> Any:
        name = arguments[0] if arguments else named["name"]
        before = self.alarms.get(name)
        alarm = put(self, *arguments, **named)
        alarm.state_value, alarm.state_reason = "INSUFFICIENT_DATA", "Unchecked: Initial alarm creation"
        # An alarm whose settings change keeps its state and history until it is evaluated.
        if before is not None:
            for field in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
                setattr(alarm, field, getattr(before, field))
        alarms.evaluate_soon()
        return alarm

    replace(backend, put_metric_alarm=put_metric_alarm)


def _take_windows(responses: Any, alarms: Alarms) -> None:
    # moto drops EvaluationWindow. May go when it keeps it.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_WallClockWindow.html
    refused: Any = import_module("moto.cloudwatch.exceptions").ValidationError
    put = responses.put_metric_alarm

    def put_metric_alarm(self: Any) -> Any:
        comparison, window = self._get_param("ComparisonOperator"), self._get_param("EvaluationWindow", {})
        if not self._get_param("AlarmRule") and comparison not in COMPARISONS:
            raise refused(f"ComparisonOperator {comparison} is not covered by the local cloud")
        aligned = window.get("WallClockWindow")
        if (zone := (aligned or {}).get("Timezone", "UTC")) != "UTC":
            raise refused(f"Timezone {zone} is not covered by the local cloud")
        stats = [one["MetricStat"] for one in self._get_param("Metrics", []) if "MetricStat" in one]
        periods = {int(one) for one in (self._get_param("Period"), *(stat["Period"] for stat in stats)) if one}
        if aligned is not None and (others := periods - ALIGNED_S):
            raise refused(f"Period {sorted(others)} with a WallClockWindow: expected one of {sorted(ALIGNED_S)}")
        (alarms.aligned.discard if aligned is None else alarms.aligned.add)(self._get_param("AlarmName"))
        return put(self)

    replace(responses, put_metric_alarm=put_metric_alarm)


def _send_forced_states(backend: Any, alarms: Alarms) -> None:
    # moto's SetAlarmState changes the state and tells nobody. Its own function is called for its checks.
    validate = backend.set_alarm_state

    def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        alarm = self.alarms.get(alarm_name)
        kept = state_of(alarm) if alarm is not None else None
        validate(self, alarm_name, reason, reason_data, state_value)
        if alarm is not None and kept is not None:
            # The checks above have written the new state too, and an entry of the history. Both are taken back, so that
            # `change` sees a change and sends it.
            alarm.history.pop()
            alarm.state_value, alarm.state_reason = kept.value, kept.reason
            alarm.state_reason_data, alarm.state_updated_timestamp = kept.reason_data, kept.changed_at
            alarms.change(alarm, state_value, reason, reason_data or "")

    replace(backend, set_alarm_state=set_alarm_state)


def _rule(alarm: Any) -> Rule:
    periods = int(alarm.evaluation_periods)
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=periods,
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or periods),
        missing=alarm.treat_missing_data or "missing",
    )


def _period_s(alarm: Any) -> int:
    """The length of the alarm's periods in seconds: the longest of several metrics, 60 if nothing says it."""
    if not alarm.metric_data_queries:
        return int(alarm.period)
    periods = [query.metric_stat.period for query in alarm.metric_data_queries if query.metric_stat]
    return max(int(period) for period in periods or [query.period or 60 for query in alarm.metric_data_queries])


def _queries(alarm: Any) -> list[dict[str, Any]]:
    """The alarm's metrics as queries of GetMetricData. Exactly one of them returns data: the one that is compared."""
    if not alarm.metric_data_queries:
        statistic = alarm.statistic or alarm.extended_statistic
        described = _stat(alarm.namespace, alarm.metric_name, alarm.dimensions, alarm.period, statistic, alarm.unit)
        return [{"Id": "metric", "MetricStat": described, "ReturnData": True}]
    return [_query(query) for query in alarm.metric_data_queries]


def _query(query: Any) -> dict[str, Any]:
    shown = {"Id": query.id, "ReturnData": alarm_messages.returns_data(query)}
    if query.metric_stat is None:
        return {**shown, "Expression": query.expression, "Period": query.period}
    stat = query.metric_stat
    metric = stat.metric
    described = _stat(metric.namespace, metric.metric_name, metric.dimensions, stat.period, stat.stat, stat.unit)
    return {**shown, "MetricStat": described}


def _stat(namespace: str, name: str, dimensions: Any, period: Any, statistic: str, unit: str | None) -> dict[str, Any]:
    named = [{"Name": one.name, "Value": one.value} for one in dimensions]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": named}
    return {"Metric": metric, "Period": int(period), "Stat": statistic, "Unit": unit or None}


NAMESPACE = "AWS/SQS"


def report_queues(cloud: Cloud, alarms: list[Any]) -> None:
    """Put SQS's gauges of each queue that one of the alarms names, without starting another evaluation.

    AWS reports the gauges of every queue each minute; here they are read whenever alarms are evaluated."""
    queues = moto_backend("sqs", cloud.region).queues
    metrics: Metrics = cloud.parts[Metrics]
    for name in {name for alarm in alarms for name in _queues_of(alarm)}:
        if name in queues:
            now = cloud.clock.timestamp()
            for metric, value in _gauges(queues[name], now).items():
                point = Point(timestamp=now, value=value)
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


def install(cloud: Cloud) -> None:
    take_composite_alarms()
    keep_metrics(cloud)
    evaluate_alarms(cloud)
