"""Statistics, percentiles, metric math and the metrics in log lines, in the past that the clock says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch import metrics
from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import Resources

LONG_AGO = datetime(1997, 3, 1, 12, 0, tzinfo=UTC)


def ask(client: Any, queries: list[dict[str, Any]], start: datetime, end: datetime) -> dict[str, Any]:
    answer = client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
    )
    return {result["Id"]: result for result in answer["MetricDataResults"]}


def stat(namespace: str, name: str, statistic: str, period: int = 60, **dimensions: str) -> dict[str, Any]:
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": named}
    return {"Metric": metric, "Period": period, "Stat": statistic}


@pytest.fixture
def hundred(client: Callable[[str], Any], fresh: Callable[..., str]) -> str:
    """A namespace with the values 1 to 100 in one minute of 1997."""
    namespace = fresh("Namespace")
    data = [{"MetricName": "m", "Value": float(n), "Timestamp": LONG_AGO + timedelta(seconds=5)} for n in range(1, 101)]
    client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)
    return namespace


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("Sum", 5050.0), ("Average", 50.5), ("Minimum", 1.0), ("Maximum", 100.0), ("SampleCount", 100.0),
        ("p50", 50.5), ("p90", 90.1), ("p99.9", 99.901), ("p100", 100.0),
    ],
)  # fmt: skip
def test_statistics(client: Any, hundred: str, statistic: str, expected: float) -> None:
    query = {"Id": "q", "MetricStat": stat(hundred, "m", statistic)}
    result = ask(client, [query], LONG_AGO, LONG_AGO + timedelta(minutes=5))["q"]
    assert result["Values"] == [pytest.approx(expected)]
    assert result["Timestamps"] == [LONG_AGO]


@pytest.mark.parametrize(
    "more",
    [
        {"Counts": [1.0], "Values": [1.0]},
        {"StatisticValues": dict.fromkeys(("SampleCount", "Sum", "Minimum", "Maximum"), 1.0)},
    ],
)
def test_counts_and_summaries_are_refused(client: Any, more: Any) -> None:
    with pytest.raises(ClientError, match="not covered"):
        client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", **more}])


def test_metric_math(client: Any, fresh: Any) -> None:
    namespace = fresh("Namespace")
    values = {"errors": {0: 2.0, 1: 3.0}, "calls": {0: 10.0, 1: 0.0, 2: 5.0}}
    data = [
        {"MetricName": name, "Value": value, "Timestamp": LONG_AGO + timedelta(minutes=minute)}
        for name, series in values.items()
        for minute, value in series.items()
    ]
    client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)
    expressions = {
        "rate": "100 * errors / calls",
        "largest": "MAX([errors, calls, 1])",
        "chosen": "IF(calls > 4, calls, -1)",
        "most": "MAX(METRICS())",
        "second": "rate * 2",
        "both": "errors > 1 AND errors < 3",
    }
    queries = [
        *({"Id": name, "Expression": text} for name, text in expressions.items()),
        *({"Id": name, "MetricStat": stat(namespace, name, "Sum"), "ReturnData": False} for name in values),
    ]
    found = ask(client, queries, LONG_AGO, LONG_AGO + timedelta(minutes=3))
    assert {name: result["Values"] for name, result in found.items()} == {
        "rate": [20.0],
        "largest": [10.0, 3.0, 5.0],
        "chosen": [10.0, -1.0, 5.0],
        "most": [10.0, 3.0, 5.0],
        "second": [40.0],
        "both": [1.0, 0.0],
    }


@pytest.mark.parametrize(
    "expression",
    [
        "ANOMALY_DETECTION_BAND(m, 2)",
        "FILL(m, 0)",
        "SUM(METRICS())",
        "MAX(m)",
        "m ^ 2",
        "METRICS() * 2",
        "SELECT AVG(m) FROM n",
        "__import__('os')",
        "a",
    ],
)
def test_what_is_not_covered_is_refused_by_name(client: Any, hundred: str, expression: str) -> None:
    queries = [{"Id": "m", "MetricStat": stat(hundred, "m", "Sum")}, {"Id": "e", "Expression": expression}]
    with pytest.raises(ClientError, match="not covered"):
        ask(client, queries, LONG_AGO, LONG_AGO + timedelta(minutes=1))


def test_a_metric_without_a_time_happens_now_by_the_clouds_clock(cloud: Cloud, client: Any, fresh: Any) -> None:
    namespace = fresh("Namespace")
    cloud.clock.move(cloud.clock.now() + timedelta(days=400))
    client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 1}])
    metrics.put(cloud, namespace, "m", 2.0, dimensions={})
    now = cloud.clock.now()
    query = {"Id": "q", "MetricStat": stat(namespace, "m", "Sum", 3600)}
    assert sum(ask(client, [query], now - timedelta(hours=1), now + timedelta(minutes=1))["q"]["Values"]) == 3.0


def test_log_lines_become_metrics(cloud: Cloud, client: Any, aws: Resources) -> None:
    namespace = aws.fresh("Namespace")
    line = {
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [["workload"], []],
                    "Metrics": [{"Name": "rows", "Unit": "Count"}, {"Name": "absent"}],
                }
            ]
        },
        "workload": "electricity",
        "rows": [3, 4],
    }
    source = (
        f"import json, time\ndef handler(e, c):\n    line = {line!r}\n"
        "    line['_aws']['Timestamp'] = int(time.time() * 1000)\n    print(json.dumps(line))\n"
    )
    name = aws.function(source)
    assert "FunctionError" not in client("lambda").invoke(FunctionName=name)
    now = cloud.clock.now()
    queries = [
        {"Id": "with", "MetricStat": stat(namespace, "rows", "Sum", 3600, workload="electricity")},
        {"Id": "without", "MetricStat": stat(namespace, "rows", "SampleCount", 3600)},
        {"Id": "calls", "MetricStat": stat("AWS/Lambda", "Invocations", "Sum", 3600, FunctionName=name)},
        {"Id": "errors", "MetricStat": stat("AWS/Lambda", "Errors", "Sum", 3600, FunctionName=name)},
    ]
    found = ask(client, queries, now - timedelta(hours=1), now + timedelta(minutes=1))
    assert {name: sum(result["Values"]) for name, result in found.items()} == {
        "with": 7.0, "without": 2.0, "calls": 1.0, "errors": 0.0
    }  # fmt: skip


def test_get_metric_statistics_knows_percentiles(client: Any, hundred: str) -> None:
    (point,) = client("cloudwatch").get_metric_statistics(
        Namespace=hundred, MetricName="m", Period=300, StartTime=LONG_AGO, EndTime=LONG_AGO + timedelta(minutes=5),
        Statistics=["Average"], ExtendedStatistics=["p90"],
    )["Datapoints"]  # fmt: skip
    assert point["Average"] == 50.5
    assert point["ExtendedStatistics"]["p90"] == pytest.approx(90.1)
    assert point["Timestamp"] == LONG_AGO
