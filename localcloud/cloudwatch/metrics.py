"""Keeps every data point in our own store, and answers GetMetricData, GetMetricStatistics and the alarms from it.

Lambda's metrics (Invocations, Errors, Throttles, Duration) are reported here too, since alarms read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from localcloud.cloudwatch.metric_math import Frame, evaluate
from localcloud.cloudwatch.metric_store import Key, MetricStore, Series, as_points, key_of
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace
from localcloud.logs.embedded_metrics import LogMetrics

if TYPE_CHECKING:
    from localcloud.awslambda.pools import Outcome


class Metrics:
    """The store of all points, and who is called when points were added."""

    def __init__(self, cloud: Cloud) -> None:
        self.store = MetricStore()
        self._cloud = cloud
        self.listener: Callable[[], object] = lambda: None

    def keep(self, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
        """Keep what PutMetricData brings. A datum without a time gets the present time of the cloud's clock."""
        for datum in data:
            key, timestamp = _key({"Namespace": namespace, **datum}), datum.get("Timestamp")
            at = self._cloud.clock.timestamp() if timestamp is None else _seconds(timestamp)
            for point in as_points(datum, at):
                self.store.add(key, point)
        self.listener()

    def series(self, queries: Sequence[Mapping[str, Any]], start: float, end: float) -> dict[str, Series]:
        """The series of each query of GetMetricData by its id: metrics, and expressions over them.

        `start` and `end` are seconds since the epoch; `end` is exclusive. Raises ValueError for what is not covered."""
        periods = [int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query]
        period_s = max(periods or [int(query.get("Period") or 60) for query in queries] or [60])
        found = {q["Id"]: self._metric(q["MetricStat"], start, end) for q in queries if "MetricStat" in q}
        metrics = list(found)
        # `end` is exclusive: a request that ends on the hour has no period that begins on the hour. Subtracting 1e-9 s
        # takes it away.
        first = start // period_s * period_s
        timeline = [first + n * period_s for n in range(int(max(0.0, end - first - 1e-9) // period_s) + 1)]
        waiting = {q["Id"]: str(q["Expression"]) for q in queries if "MetricStat" not in q}
        # Expressions may name each other in any order. In each round those are evaluated that name no expression that
        # still waits. If no such expression is left, they name each other in a circle.
        while waiting:
            words = {name: set(re.findall(r"[A-Za-z_]\w*", text)) for name, text in waiting.items()}
            ready = [name for name in waiting if not words[name] & (set(waiting) - {name})]
            if not ready:
                raise ValueError(f"metric math: {sorted(waiting)} depend on each other")
            for name in ready:
                frame = Frame(series=found, metrics=metrics, timeline=timeline)
                if waiting[name].strip().upper().startswith("SELECT"):
                    raise ValueError("Metrics Insights (SELECT) is not covered by the local cloud")
                found[name] = evaluate(waiting.pop(name), frame)
        return found

    def _metric(self, query: Mapping[str, Any], start: float, end: float) -> Series:
        key = _key(query["Metric"])
        return self.store.statistic(key, query["Stat"], int(query["Period"]), start, end, unit=query.get("Unit"))


def keep_metrics(cloud: Cloud) -> None:
    """Keep and answer metrics from now on: those of API calls, of functions' logs, and of invocations."""
    from localcloud.awslambda.pools import Functions

    models: Any = import_module("moto.cloudwatch.models")
    metrics = cloud.parts[Metrics] = Metrics(cloud)
    _keep_points(models.CloudWatchBackend, metrics)
    _answer_queries(models.CloudWatchBackend, metrics)
    _answer_statistics(models, metrics)
    reader = LogMetrics(cloud, put_data)
    functions: Functions = cloud.parts[Functions]
    # A function's own metrics first, then those that Lambda reports about the invocation.
    functions.after_invocation(reader.read)
    functions.after_invocation(lambda function, outcome: _report_invocation(cloud, function, outcome))


def put(
    cloud: Cloud, namespace: str, name: str, value: float, *, dimensions: Mapping[str, str], unit: str = "None"
) -> None:
    """Report one value as a service of AWS does, without an API call. It has happened now."""
    datum = {
        "MetricName": name,
        "Value": value,
        "Unit": unit,
        "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
    }
    put_data(cloud, namespace, [datum])


def put_data(cloud: Cloud, namespace: str, data: list[dict[str, Any]]) -> None:
    """Put the data as PutMetricData does, without an API call."""
    moto_backend("cloudwatch", cloud.region).put_metric_data(namespace, data)


def _keep_points(backend: Any, metrics: Metrics) -> None:
    # moto keeps the points too: it answers ListMetrics from them.
    keep = backend.put_metric_data

    def put_metric_data(self: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        keep(self, namespace, metric_data)
        metrics.keep(namespace, metric_data)

    replace(backend, put_metric_data=put_metric_data)


def _answer_queries(backend: Any, metrics: Metrics) -> None:
    # May go when moto computes percentiles and metric math.
    from moto.cloudwatch.exceptions import ValidationError

    def get_metric_data(
        _: Any,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        start, end = _seconds(start_time), _seconds(end_time)
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
        try:
            found = metrics.series(queries, start, end)
        except ValueError as error:
            raise ValidationError(str(error)) from error
        wanted = [query for query in queries if query.get("ReturnData", True)]
        return [_result(query, found[query["Id"]], is_descending=scan_by == "TimestampDescending") for query in wanted]

    replace(backend, get_metric_data=get_metric_data)


def _result(query: Mapping[str, Any], series: Series, *, is_descending: bool) -> dict[str, Any]:
    items = sorted(series.items(), reverse=is_descending)
    metric = query.get("MetricStat", {}).get("Metric", {})
    return {
        "id": query["Id"],
        "label": query.get("Label") or metric.get("MetricName") or query["Id"],
        "timestamps": [_naive(at) for at, _ in items],
        "values": [value for _, value in items],
        "status_code": "Complete",
    }


def _answer_statistics(models: Any, metrics: Metrics) -> None:
    from moto.core.responses import ActionResult

    responses: Any = import_module("moto.cloudwatch.responses")

    def get_metric_statistics(self: Any) -> Any:
        request = self._get_params()
        statistics = [*(request.get("Statistics") or []), *(request.get("ExtendedStatistics") or [])]
        if not statistics:
            raise models.InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        key = _key(request)
        start, end = _seconds(request["StartTime"]), _seconds(request["EndTime"])
        points: dict[float, dict[str, Any]] = {}
        for statistic in statistics:
            series = metrics.store.statistic(
                key, statistic, int(request["Period"]), start, end, unit=request.get("Unit")
            )
            for at, value in series.items():
                point = points.setdefault(at, {"Timestamp": _naive(at), "Unit": request.get("Unit") or "None"})
                if statistic in (request.get("Statistics") or []):
                    point[statistic] = value
                else:
                    point.setdefault("ExtendedStatistics", {})[statistic] = value
        return ActionResult({"Label": request["MetricName"], "Datapoints": [points[at] for at in sorted(points)]})

    replace(responses.CloudWatchResponse, get_metric_statistics=get_metric_statistics)


def _report_invocation(cloud: Cloud, function: Any, outcome: Outcome) -> None:
    # Each value is put for the function and, without a dimension, for all functions of the account. Nothing is ever
    # throttled here.
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    by_function = [{"Name": "FunctionName", "Value": function.function_name}]
    errors, duration_ms = float(bool(outcome.error)), outcome.duration_s * 1000
    values = {"Invocations": 1.0, "Errors": errors, "Throttles": 0.0, "Duration": duration_ms}
    units = {"Duration": "Milliseconds"}
    data = [
        {"MetricName": name, "Value": value, "Unit": units.get(name, "Count"), "Dimensions": dimensions}
        for name, value in values.items()
        for dimensions in (by_function, [])
    ]
    put_data(cloud, "AWS/Lambda", data)


def _key(metric: Mapping[str, Any]) -> Key:
    """The key of the metric that a request or a part of it names."""
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or ()}
    return key_of(metric["Namespace"], metric["MetricName"], dimensions)


def _seconds(when: Any) -> float:
    """Seconds since the epoch of a datetime, a number or ISO text. A time without a zone is UTC, as in moto."""
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return float(when)


def _naive(timestamp: float) -> datetime:
    """The time in UTC without a time zone, as moto's answers need it."""
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
