"""Publishes the findings of a monitor run as metrics. Then the cursors move, and only forward."""

from __future__ import annotations

from datetime import datetime

import boto3

from millrace.aws.metrics import publish
from millrace.aws.objects import read_object
from millrace.functions.publish_metrics.findings import ask_again, ask_people, floor_after, metrics_of, staying
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent, AutomationMoved, FloorMoved
from millrace.messages.envelope import StepInput
from millrace.messages.monitor import (
    REPORT_FILE,
    MetricsPublished,
    MonitorReport,
    PlannedState,
    PromiseReport,
    read_report,
)
from millrace.monitoring.alarms import changes, ratios, starters
from millrace.settings.environment import Environment
from millrace.state.cursors import Cursor
from millrace.state.refused_share import RefusedRows
from millrace.state.versions import ChangeStarts, FloorState, KeptPromise

ROOM = WorkloadRoom(Environment.parse(), __name__)
S3, CLOUDWATCH = boto3.client("s3"), boto3.client("cloudwatch")
REFUSED = RefusedRows(ROOM.state)


@ROOM.handles(StepInput[PlannedState])
def handler(call: StepInput[PlannedState]) -> MetricsPublished:
    """Publish the report. Returns what was published, and the alarms that stay in ALARM.

    No change of state will start a retraining for these alarms, so the machine itself must ask the guard again."""
    report_uri = f"{call.state.plan_windows.answer.report_uri}/{REPORT_FILE}"
    report = read_report(read_object(S3, report_uri))
    # The alarms are read before the metrics are put, which may change their states.
    watched = starters(ROOM.workload.retraining)
    before = CLOUDWATCH.describe_alarms(AlarmNames=[ROOM.names.alarm(name) for name in watched])
    # The guard reads since when windows are above their bound as soon as an alarm is raised: so this comes first.
    since = keep_changes(report, as_of=call.state.as_of)
    publish(metrics_of(report), Workload=ROOM.names.workload)
    if report.promise:
        keep(report.promise, version=report.model_version, call=call)
    keep_floor(report, since=since, call=call)
    now = call.state.started or call.state.as_of
    asked = ask_people(ROOM, report, report_uri=report_uri, now=now) + ask_again(ROOM, report, now=now)
    # The cursors move after the rest: until then the next run would judge the same windows again.
    for name, reached in (("monitor", report.input_cursor), ("monitor-error", report.error_cursor)):
        if reached:
            Cursor(name=name, window_end=reached).put(ROOM.state)
    alarms = staying(before["MetricAlarms"], report, ROOM.names)
    published = MetricsPublished(
        judged=report.judged,
        ratios=ratios(report),
        ask_guard=bool(alarms),
        alarms=alarms,
        refused=REFUSED.shares(),
        labels_wanted=asked,
    )
    ROOM.logger.info("published", extra=published.model_dump(mode="json"))
    return published


def keep(promise: PromiseReport, *, version: str, call: StepInput[PlannedState]) -> None:
    """Record why answers of the version act from a new threshold on, then let them. A later run's stays."""
    as_of = call.state.as_of
    known = KeptPromise.find(ROOM.state, version)
    if known is None or known.as_of <= as_of:
        ROOM.audit(AuditEvent.AUTOMATION_MOVED, AutomationMoved(version=version, **promise.model_dump()), call)
        KeptPromise(version=version, threshold=promise.threshold, as_of=as_of).put(ROOM.state)


def keep_changes(report: MonitorReport, *, as_of: datetime) -> datetime | None:
    """Keep since when windows of the version are above a bound. Returns the earliest time; None if none is."""
    known = ChangeStarts.find(ROOM.state, report.model_version)
    since = changes(report, known.since if known else {})
    ChangeStarts(version=report.model_version, since=since, as_of=as_of).put(ROOM.state)
    return min(since.values(), default=None)


def keep_floor(report: MonitorReport, *, since: datetime | None, call: StepInput[PlannedState]) -> None:
    """Record it if somebody else answers from now on, then keep what was compared. A later run's stays."""
    floor, version = ROOM.workload.policy.floor if ROOM.workload.policy else None, report.model_version
    if floor is None and report.floor is None:
        return
    known = FloorState.find(ROOM.state, version)
    decision = floor_after(report.floor, known, floor, version=version, since=since, as_of=call.state.as_of)
    if decision is None:
        return
    state, moved = decision
    if moved.below != moved.before:
        event = AuditEvent.FLOOR_ON if moved.below else AuditEvent.FLOOR_OFF
        ROOM.audit(event, FloorMoved(version=version, **moved.model_dump()), call)
    state.put(ROOM.state)
