"""Plans the windows that a monitor run judges, and writes the inputs of its drift job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import boto3
from aws_lambda_powertools import Logger

from millrace.aws.objects import read_object
from millrace.contract.load import load_contract
from millrace.datasets.label_rows import labels_between
from millrace.datasets.tables import Lake
from millrace.decisions.standing import threshold_of
from millrace.decisions.store import stored_days
from millrace.functions.plan_windows.inputs import Inputs, first_day
from millrace.messages.asked_labels import AskedLabels
from millrace.messages.envelope import StepInput, handles
from millrace.messages.monitor import (
    FloorNow,
    MonitorInput,
    NoWindows,
    PromiseNow,
    WindowsPlanned,
    read_report,
)
from millrace.monitoring.windows import Cursors, Window, plan
from millrace.names import hash_of_run
from millrace.settings.environment import Environment
from millrace.state.cursors import Cursor
from millrace.state.held_labels import HeldLabels
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.state.versions import ConceptLevel, FloorState, KeptPromise
from millrace.state.wanted import StoredChoice
from millrace.workload.load import load_workload

MOST_EARLY = 25
"""The most batches of early labels of which a run has the decisions looked for."""
SETTINGS = Environment.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
S3 = boto3.client("s3")
LAKE = Lake(NAMES, load_contract(SETTINGS.folder))
STATE = StateTable(boto3.client("dynamodb"), NAMES)
STATES = boto3.client("stepfunctions")
POINTERS = ReleasePointers(STATE)


@LOGGER.inject_lambda_context
@handles(StepInput[MonitorInput])
def handler(call: StepInput[MonitorInput]) -> WindowsPlanned:
    """Write the job's inputs. Returns the number of windows, and the URIs of request, decisions, labels and baseline.

    The number is 0, with a reason, if no model is live, no window is complete, or `as_of` has not come."""
    if call.state.started and call.state.as_of > call.state.started:
        return WindowsPlanned(count=0, reason=NoWindows.NOT_YET)
    look_again(call)
    champion = POINTERS.champion()
    if champion is None:
        return WindowsPlanned(count=0, reason=NoWindows.NO_CHAMPION)
    monitors = WORKLOAD.monitors
    cursors = Cursors(input=Cursor.end(STATE, "monitor"), error=Cursor.end(STATE, "monitor-error"))
    windows = plan(
        cursors=cursors,
        first=first_day(S3, NAMES),
        as_of=call.state.as_of,
        days=monitors.window_days,
        in_a_row=monitors.error_windows,
    )
    if not windows:
        return WindowsPlanned(count=0, reason=NoWindows.NONE_COMPLETE)
    inputs = Inputs(s3=S3, names=NAMES, run=call.run)
    # The windows are in order of time: one stretch has the labels of all.
    labels = labels_between(LAKE, WORKLOAD.prediction, windows[0].start, windows[-1].end)
    level = ConceptLevel.find(STATE, champion.version)
    planned = inputs.write(
        folder=SETTINGS.folder,
        windows=windows,
        labels=labels,
        champion=champion,
        promise=_promise(champion),
        floor=_floor(champion),
        asked=_asked(windows),
        concept_level=level.level if level else 0.0,
        registered_at=_registered_at(champion),
        as_of=call.state.as_of,
    )
    # Only the first run can leave out days: later ones follow the cursor.
    if cursors.input is None:
        planned = planned.model_copy(update={"days_left_out": _days_before(windows[0].start)})
    LOGGER.info("windows to judge", extra=planned.model_dump())
    return planned


def look_again(call: StepInput[MonitorInput]) -> None:
    """Have the labels judged that came before their decisions: by now these may be there.

    The newest MOST_EARLY batches are looked at: what waits beyond them waits for a person."""
    early = [batch for batch in HeldLabels(STATE).every() if batch.status == "waiting" and batch.is_early]
    for batch in sorted(early, key=lambda each: each.held_at)[-MOST_EARLY:]:
        detail = {"workload": SETTINGS.workload, "feed": "labels", "objects": [batch.object.model_dump(mode="json")]}
        document = {"cause": call.state.cause, "as_of": call.state.as_of.isoformat(), "detail": detail}
        try:
            STATES.start_execution(
                stateMachineArn=NAMES.machine_arn("ingest"),
                name=f"early-{batch.object.drop_id[:20]}-{hash_of_run(call.run)}",
                input=json.dumps(document),
            )
        except STATES.exceptions.ExecutionAlreadyExists:
            LOGGER.info("looked at again before", extra={"drop": batch.object.drop_id})


def _promise(champion: Version) -> PromiseNow | None:
    """What the champion's acting answers promise now; None if the workload promises nothing, or nothing may act."""
    policy = WORKLOAD.policy
    if policy is None or (promised := policy.promised_error) is None:
        return None
    threshold = threshold_of(policy.automate, champion, KeptPromise.find(STATE, champion.version))
    return None if threshold is None else PromiseNow(promised_error=promised, threshold=threshold)


def _floor(champion: Version) -> FloorNow | None:
    """What the champion is held against; None without a floor, or if the rule's answer is not known."""
    if not (WORKLOAD.policy and WORKLOAD.policy.floor and champion.rule_answer):
        return None
    known, rule = FloorState.find(STATE, champion.version), json.loads(champion.rule_answer)
    if known is None:
        return FloorNow(rule=rule)
    # If the rule answers since an alarm, no label has decided yet: as few decide as if the version answered.
    return FloorNow(rule=rule, below=known.below and not known.awaits_labels, days=known.days)


def _asked(windows: Sequence[Window]) -> dict[datetime, AskedLabels]:
    """The labels that people were asked for, by the start of their window, as earlier runs have chosen them."""
    if not (WORKLOAD.policy and WORKLOAD.policy.labels_a_day):
        return {}
    began = [one.start for one in windows if not one.judge_input]
    chosen = {start: choice for start in began if (choice := StoredChoice.find(STATE, start))}
    # One run has chosen for several windows: its report is read once.
    chances = {
        (uri, window.start): {one.id: one.chance for one in window.wanted}
        for uri in {choice.report_uri for choice in chosen.values()}
        for window in read_report(read_object(S3, uri)).windows
    }
    return {
        start: AskedLabels(until=choice.until, chances=chances[choice.report_uri, start])
        for start, choice in chosen.items()
    }


def _registered_at(champion: Version) -> datetime | None:
    """When the champion was registered, by when it had been trained; None if the workload ranks no label errors."""
    if not (WORKLOAD.policy and WORKLOAD.policy.label_errors_a_day):
        return None
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=champion.package_arn)
    made: datetime = package["CreationTime"]
    return made


def _days_before(first: datetime) -> int:
    """The number of days with decisions that lie before `first`, the start of the first window of all."""
    days = stored_days(S3, NAMES.platform.bucket("lake"), NAMES.workload)
    return sum(day < first.date() for day in days)
