"""Publishes the findings of a monitor run as metrics. Then the cursors move, and only forward."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import boto3
from aws_lambda_powertools import Logger

from millrace.aws.objects import read_object
from millrace.decisions.review import label_item
from millrace.functions.publish_metrics.metrics import metrics_of, staying
from millrace.messages.audit import AuditEvent, AutomationMoved, FloorMoved
from millrace.messages.envelope import Message, StepInput, handles
from millrace.messages.monitor import (
    REPORT_FILE,
    FloorFound,
    MetricsPublished,
    MonitorReport,
    PlannedState,
    PromiseReport,
    read_report,
)
from millrace.monitoring.alarms import changes, ratios, starters
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append
from millrace.state.cursors import Cursor
from millrace.state.refused_share import RefusedRows
from millrace.state.reviews import ReviewQueue
from millrace.state.table import StateTable
from millrace.state.versions import ChangeStarts, ConceptLevel, FloorState, KeptPromise
from millrace.state.wanted import StoredChoice
from millrace.workload.load import load_workload

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
S3, CLOUDWATCH, DYNAMODB = boto3.client("s3"), boto3.client("cloudwatch"), boto3.client("dynamodb")
STATE = StateTable(DYNAMODB, NAMES)
REFUSED = RefusedRows(STATE)


@LOGGER.inject_lambda_context
@handles(StepInput[PlannedState])
def handler(call: StepInput[PlannedState]) -> MetricsPublished:
    """Publish the report. Returns what was published, and the alarms that stay in ALARM.

    No change of state will start a retraining for these alarms, so the machine itself must ask the guard again."""
    report_uri = f"{call.state.plan_windows.answer.report_uri}/{REPORT_FILE}"
    report = read_report(read_object(S3, report_uri))
    # The alarms are read before the metrics are put, which may change their states.
    before = CLOUDWATCH.describe_alarms(AlarmNames=[NAMES.alarm(name) for name in starters()])
    # The guard reads since when windows are above their bound as soon as an alarm is raised: so this comes first.
    since = keep_changes(report, as_of=call.state.as_of)
    CLOUDWATCH.put_metric_data(Namespace=NAMES.platform.metrics, MetricData=metrics_of(report))
    if report.promise:
        keep(report.promise, version=report.model_version, call=call)
    keep_floor(report.floor, version=report.model_version, since=since, call=call)
    if report.concept:
        level, as_of = report.concept.level, call.state.as_of
        ConceptLevel(version=report.model_version, level=level, as_of=as_of).put(STATE)
    now = call.state.started or call.state.as_of
    asked = ask_people(report, report_uri=report_uri, now=now) + ask_again(report, now=now)
    # The cursors move after the rest: until then the next run would judge the same windows again.
    for name, reached in (("monitor", report.input_cursor), ("monitor-error", report.error_cursor)):
        if reached:
            Cursor(name=name, window_end=reached).put(STATE)
    alarms = staying(before["MetricAlarms"], report, NAMES)
    published = MetricsPublished(
        judged=report.judged,
        ratios=ratios(report),
        ask_guard=bool(alarms),
        alarms=alarms,
        refused=REFUSED.shares(),
        labels_wanted=asked,
    )
    LOGGER.info("published", extra=published.model_dump(mode="json"))
    return published


def keep(promise: PromiseReport, *, version: str, call: StepInput[PlannedState]) -> None:
    """Record why answers of the version act from a new threshold on, then let them. A later run's stays."""
    as_of = call.state.as_of
    known = KeptPromise.find(STATE, version)
    if known is None or known.as_of <= as_of:
        audit(AuditEvent.AUTOMATION_MOVED, AutomationMoved(version=version, **promise.model_dump()), call)
        KeptPromise(version=version, threshold=promise.threshold, as_of=as_of).put(STATE)


def keep_changes(report: MonitorReport, *, as_of: datetime) -> datetime | None:
    """Keep since when windows of the version are above a bound. Returns the earliest time; None if none is."""
    known = ChangeStarts.find(STATE, report.model_version)
    since = changes(report, known.since if known else {})
    ChangeStarts(version=report.model_version, since=since, as_of=as_of).put(STATE)
    return min(since.values(), default=None)


def keep_floor(
    found: FloorFound | None, *, version: str, since: datetime | None, call: StepInput[PlannedState]
) -> None:
    """Record it if somebody else answers from now on, then keep what was compared. A later run's stays.

    If the rule answers since an alarm, labels of the time from `since` on decide, or the end of the alarm."""
    floor = WORKLOAD.policy.floor if WORKLOAD.policy else None
    if floor is None and found is None:
        return
    as_of = call.state.as_of
    known = FloorState.find(STATE, version)
    if known and known.as_of > as_of:
        return
    waits = known is not None and known.awaits_labels
    if known and waits and since is None and found is None:
        found = FloorFound(below=False, before=True, labels=0, own=0, rule=0, days=known.days)
    if found is None:
        return
    moved = found.model_copy(update={"before": found.before or waits})
    state = FloorState(version=version, below=found.below, since=as_of, as_of=as_of, days=found.days)
    if waits and since and floor and state.labels_since(since) < floor.labels:
        state, moved = replace(state, below=True, awaits_labels=True), moved.model_copy(update={"below": True})
    if moved.below != moved.before:
        event = AuditEvent.FLOOR_ON if moved.below else AuditEvent.FLOOR_OFF
        audit(event, FloorMoved(version=version, **moved.model_dump()), call)
    (replace(state, since=known.since) if known and known.below == state.below else state).put(STATE)


def ask_people(report: MonitorReport, *, report_uri: str, now: datetime) -> int:
    """Put the decisions whose labels are wanted into the review queue. Returns how many.

    The chances are kept first: a label is never judged without the chance with which it was asked for."""
    windows = [one for one in report.windows if one.wanted]
    if WORKLOAD.policy is None or not windows:
        return 0
    queue, until = ReviewQueue(DYNAMODB, NAMES), now + timedelta(hours=WORKLOAD.policy.review.hours)
    asked = 0
    for window in windows:
        StoredChoice(start=window.start, report_uri=report_uri, until=until).put(STATE)
        for one in window.wanted:
            if not one.is_known:
                queue.open(
                    label_item(one, "labels_wanted", version=report.model_version, opened_at=now, expires_at=until)
                )
                asked += 1
    return asked


def ask_again(report: MonitorReport, *, now: datetime) -> int:
    """Put the labels that contradict the model most into the review queue, up to the quota. Returns how many.

    Of a decision that people were ever asked about, nobody is asked again: the next one moves up."""
    policy, errors = WORKLOAD.policy, report.label_errors
    if policy is None or errors is None or not errors.doubted:
        return 0
    queue, until = ReviewQueue(DYNAMODB, NAMES), now + timedelta(hours=policy.review.hours)
    # A run that is repeated finds its own items, and they count.
    known, asked = queue.find([one.id for one in errors.doubted]), 0
    for one in errors.doubted:
        if asked == errors.quota:
            break
        if one.id not in known:
            queue.open(label_item(one, "label_error", version=report.model_version, opened_at=now, expires_at=until))
        asked += one.id not in known or known[one.id].reason == "label_error"
    return asked


def audit(event: AuditEvent, details: Message, call: StepInput[PlannedState]) -> None:
    record = Record(
        actor="publish_metrics",
        execution_arn=call.execution_arn,
        event=event,
        as_of=call.state.as_of,
        cause=call.state.cause,
        details=details,
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=NAMES.workload, record=record)
