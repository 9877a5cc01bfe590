"""Publishes the findings of a monitor run as metrics. Then the cursors move, and only forward."""

from __future__ import annotations

import boto3
from aws_lambda_powertools import Logger

from functions.publish_metrics.metrics import metrics_of, staying
from millrace.aws.objects import read_object
from millrace.messages.envelope import StepInput, handles
from millrace.messages.monitor import REPORT_FILE, MetricsPublished, PlannedState, read_report
from millrace.monitoring.alarms import ratios, starters
from millrace.settings.environment import Environment
from millrace.state.cursors import StoredCursors
from millrace.state.refused_share import RefusedRows
from millrace.state.table import StateTable

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
S3, CLOUDWATCH = boto3.client("s3"), boto3.client("cloudwatch")
STATE = StateTable(boto3.client("dynamodb"), NAMES)
CURSORS, REFUSED = StoredCursors(STATE), RefusedRows(STATE)


@LOGGER.inject_lambda_context
@handles(StepInput[PlannedState])
def handler(call: StepInput[PlannedState]) -> MetricsPublished:
    """Publish the report. Returns what was published, and the alarms that stay in ALARM.

    No change of state will start a retraining for these alarms, so the machine itself must ask the guard again."""
    report = read_report(read_object(S3, f"{call.state.plan_windows.answer.report_uri}/{REPORT_FILE}"))
    # The alarms are read before the metrics are put, which may change their states.
    before = CLOUDWATCH.describe_alarms(AlarmNames=[NAMES.alarm(name) for name in starters()])
    CLOUDWATCH.put_metric_data(Namespace=NAMES.platform.metrics, MetricData=metrics_of(report))
    # The cursors move after the metrics: until then the next run would judge the same windows again.
    for name, reached in (("monitor", report.input_cursor), ("monitor-error", report.error_cursor)):
        if reached:
            CURSORS.advance(name, end=reached)
    alarms = staying(before["MetricAlarms"], report, NAMES)
    published = MetricsPublished(
        judged=report.judged,
        ratios=ratios(report),
        ask_guard=bool(alarms),
        alarms=alarms,
        refused=REFUSED.shares(),
    )
    LOGGER.info("published", extra=published.model_dump(mode="json"))
    return published
