"""The dashboard of a workload, where the stage has dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.infra.rules.assembly import read, resources
from millrace.messages.lateness import Age
from millrace.monitoring import alarms as monitors
from millrace.names import Platform, WorkloadNames
from millrace.operations.alarms import ALARMS, ENDPOINT_ALARMS
from millrace.workload.load import load_workload
from tests.infra.conftest import ELECTRICITY

DEV = Platform(stage="dev", account="123456789012", region="eu-west-1")
NAMES = WorkloadNames(platform=DEV, workload="electricity")
Charts = list[dict[str, Any]]


@pytest.fixture(scope="module")
def charts(other_workloads: Path) -> Charts:
    boards = resources(read(other_workloads), "AWS::CloudWatch::Dashboard")
    (body,) = (one.properties["DashboardBody"] for one in boards if one.properties["DashboardName"] == NAMES.dashboard)
    return list(json.loads(body)["widgets"])


def metrics(charts: Charts) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Each metric with the chart that draws it."""
    for chart in charts:
        for metric in chart["properties"]["metrics"]:
            yield metric, chart["properties"]


def test_the_dashboard_shows_what_the_alarms_watch(charts: Charts) -> None:
    """Every metric of every alarm, what monitor runs judged, and the ages of rows and labels."""
    shown = {metric[1] for metric, _ in metrics(charts)}
    catalogue = ALARMS | ENDPOINT_ALARMS | monitors.monitor_alarms(None)
    watched = {metric.name for alarm in catalogue.values() for metric in alarm.metrics(NAMES)}
    ages = {Age(of=of, newest=None, allowed_hours=1, share=0).metric for of in ("rows", "labels")}
    assert (watched - {"Errors"}) | {"WindowsJudged"} | ages <= shown


def test_the_dashboard_stays_within_what_is_free(charts: Charts) -> None:
    assert len([*metrics(charts)]) <= 50


def test_a_line_is_where_the_alarm_is_raised(charts: Charts) -> None:
    drawn = [chart["properties"] for chart in charts if "annotations" in chart["properties"]]
    lines = {chart["title"]: chart["annotations"]["horizontal"][0]["value"] for chart in drawn}
    of_metric = {metric[1]: lines[chart["title"]] for chart in drawn for metric in chart["metrics"]}
    for name, alarm in (monitors.RATIO_ALARMS | monitors.COUNT_ALARMS).items():
        if name in (monitors.FLOOR, monitors.OVERRIDES):
            continue
        assert of_metric[alarm.metric] == alarm.threshold
    assert lines["p99 of the live endpoint, µs"] == load_workload(ELECTRICITY).gates.latency.max_p99_ms * 1000
    assert lines["Share of requests with 5xx"] == ENDPOINT_ALARMS["endpoint-errors"].threshold
    ages = {ALARMS["oldest-drop"].threshold, ENDPOINT_ALARMS["late-decisions"].threshold}
    assert {lines["Age of the oldest message, s"]} == ages
