"""The findings of a monitor run as metrics; then the cursors move, and only forward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.publish_metrics.metrics import metrics_of, staying
from millrace.aws.objects import read_object
from millrace.messages.envelope import ExecutionInput, StepInput, StepResult
from millrace.messages.monitor import REPORT_FILE, Planned, Published, read_report
from millrace.settings.publish_metrics import PublishMetricsSettings
from millrace.state.table import State

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = PublishMetricsSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
S3, CLOUDWATCH = boto3.client("s3"), boto3.client("cloudwatch")
STATE = State(boto3.client("dynamodb"), table=NAMES.platform.state_table, workload=SETTINGS.workload)


class Judged(ExecutionInput):
    plan_windows: StepResult[Planned]


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """What was published, and whether an alarm stays in ALARM so that nothing but us can ask the guard again."""
    call = StepInput[Judged].model_validate(event)
    report = read_report(read_object(S3, f"{call.state.plan_windows.answer.report_uri}/{REPORT_FILE}"))
    before = CLOUDWATCH.describe_alarms(AlarmNames=[NAMES.alarm("input-drift"), NAMES.alarm("error")])
    CLOUDWATCH.put_metric_data(Namespace="Millrace", MetricData=metrics_of(report))
    for name, reached in (("monitor", report.input_cursor), ("monitor-error", report.error_cursor)):
        if reached:
            STATE.advance_cursor(name, window_end=reached)
    alarms = staying(before["MetricAlarms"], report, NAMES)
    published = Published(
        judged=report.judged,
        input_ratio=report.input_ratio,
        error_ratio=report.error_ratio,
        ask_guard=bool(alarms),
        alarms=alarms,
    )
    LOGGER.info("published", extra=published.model_dump(mode="json"))
    return published.model_dump(mode="json")
