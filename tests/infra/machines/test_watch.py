"""What a release makes to watch the endpoint."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from infra.machines import release, watch
from infra.machines.dashboard import COLUMNS, HEIGHT, WIDTH
from millrace.messages.lateness import Age
from millrace.monitoring import alarms as monitors
from millrace.names import MACHINES
from millrace.operations.alarms import ALARMS, COMPOSITE, ENDPOINT_ALARMS, SERVING

STAGES = ("local", "dev", "prod")


def watching(context, stage="prod"):
    return watch.watch(context(stage), next_state="Delete challenger")


def test_every_alarm_is_put_before_what_needs_it(context):
    """The composite alarm after those that it names, all of them once the pointers name the version and before it
    is said to be live."""
    states = watching(context)
    for name, following in pairwise((*states, "Delete challenger")):
        assert states[name]["Next"] == following
    names = list(states)
    assert names[-2:] == [f"Watch {SERVING}", "Dashboard"]
    assert {f"Watch {name}" for name in (*monitors.RATIO_ALARMS, *monitors.COUNT_ALARMS, *ENDPOINT_ALARMS)} == set(
        names[:-2]
    )
    assert set(COMPOSITE.alarms) == set(ENDPOINT_ALARMS)
    whole = release.definition(context())["States"]
    assert whole["Advance release"]["Next"] == names[0]
    assert whole["Dashboard"]["Next"] == "New version?"


def test_an_alarm_that_cannot_be_put_neither_undoes_the_release_nor_stays_unknown(context):
    whole = release.definition(context())["States"]
    for state in watching(context).values():
        (caught,) = state["Catch"]
        assert caught["Next"] == state["Next"], "the other alarms are put"
        assert whole["Watched?"]["Choices"] == [
            {"Variable": caught["ResultPath"], "IsPresent": True, "Next": "Not watched"}
        ]
    assert whole["Watched?"]["Default"] == "Live"
    assert whole["Not watched"]["Type"] == "Fail"


@pytest.mark.parametrize("stage", STAGES)
def test_the_machine_may_put_what_it_puts_and_no_other_alarm(context, stage):
    allowed = {
        action: statement.resources for statement in watch.statements(context(stage)) for action in statement.actions
    }
    put = [
        state["Parameters"]["AlarmName"] for state in watching(context, stage).values() if "Metric" in state["Resource"]
    ]
    region = context(stage).platform.region
    assert {f"arn:aws:cloudwatch:{region}:123456789012:alarm:{name}" for name in put} == set(
        allowed["cloudwatch:PutMetricAlarm"]
    )
    assert allowed["cloudwatch:PutCompositeAlarm"] == ("*",)
    assert allowed["cloudwatch:PutDashboard"] == (
        f"arn:aws:cloudwatch::123456789012:dashboard/{context(stage).names.prefix}",
    )


def charts(context):
    body = json.loads(watching(context)["Dashboard"]["Parameters"]["DashboardBody"])
    assert len(json.dumps(body)) < 1024 * 1024
    return body["widgets"]


def test_the_dashboard_shows_what_the_alarms_watch(context):
    """Every metric of every alarm, what monitor runs judged, and the ages of rows and labels."""
    names = context().names
    shown = {metric[1] for chart in charts(context) for metric in chart["properties"]["metrics"]}
    catalogue = ALARMS | ENDPOINT_ALARMS
    watched = {metric.name for alarm in catalogue.values() for metric in alarm.metrics(names)} - {"Errors"}
    judged = {alarm.metric for alarm in (monitors.RATIO_ALARMS | monitors.COUNT_ALARMS).values()} | {"WindowsJudged"}
    ages = {Age(of=of, newest=None, allowed_hours=1, share=0).metric for of in ("rows", "labels")}
    assert watched | judged | ages <= shown


def test_the_dashboard_has_the_reports_figures_of_runs(context):
    """How many ended how, and the median of their times, of each machine."""
    drawn = {
        (metric[1], metric[3], chart["properties"]["stat"])
        for chart in charts(context)
        for metric in chart["properties"]["metrics"]
        if metric[0] == "AWS/States"
    }
    ends = ("ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
    wanted = [*((end, "Sum") for end in ends), ("ExecutionTime", "p50")]
    names = context().names
    assert drawn == {(name, names.machine_arn(machine), stat) for machine in MACHINES for name, stat in wanted}


def test_the_dashboard_stays_within_what_is_free(context):
    assert sum(len(chart["properties"]["metrics"]) for chart in charts(context)) <= 50


def test_the_charts_fill_the_grid_without_covering_each_other(context):
    places = {(chart["x"], chart["y"]) for chart in charts(context)}
    assert len(places) == len(charts(context))
    assert WIDTH * COLUMNS == 24
    assert all(x % WIDTH == 0 and x + WIDTH <= 24 and y % HEIGHT == 0 for x, y in places)


def test_a_line_is_where_the_alarm_is_raised(context, workload):
    drawn = [chart["properties"] for chart in charts(context) if "annotations" in chart["properties"]]
    lines = {chart["title"]: chart["annotations"]["horizontal"][0]["value"] for chart in drawn}
    of_metric = {metric[1]: lines[chart["title"]] for chart in drawn for metric in chart["metrics"]}
    for alarm in (monitors.RATIO_ALARMS | monitors.COUNT_ALARMS).values():
        assert of_metric[alarm.metric] == alarm.threshold
    assert lines["p99 of the live endpoint, µs"] == workload.gates.latency.max_p99_ms * 1000
    assert lines["Share of requests with 5xx"] == ENDPOINT_ALARMS["endpoint-errors"].threshold
    ages = {ALARMS["oldest-drop"].threshold, ENDPOINT_ALARMS["late-decisions"].threshold}
    assert {lines["Age of the oldest message, s"]} == ages
