"""Plans the windows that a monitor run judges, and writes the inputs of its drift job."""

from __future__ import annotations

import json
from datetime import timedelta

import boto3

from millrace.contract.load import load_contract
from millrace.datasets.label_rows import labels_between
from millrace.datasets.tables import Lake
from millrace.decisions.store import stored_days
from millrace.functions.plan_windows.inputs import Inputs, request_of
from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import StepInput
from millrace.messages.monitor import MonitorInput, NoWindows, WindowsPlanned
from millrace.monitoring.windows import Cursors, plan
from millrace.names import hash_of_run
from millrace.settings.environment import Environment
from millrace.state.cursors import Cursor
from millrace.state.held_drops import HeldDrop

MOST_EARLY = 25
"""The most batches of early labels of which a run has the decisions looked for."""
ROOM = WorkloadRoom(Environment.parse(), __name__)
S3 = boto3.client("s3")
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))
STATES = boto3.client("stepfunctions")


@ROOM.handles(StepInput[MonitorInput])
def handler(call: StepInput[MonitorInput]) -> WindowsPlanned:
    """Write the job's inputs. Returns the number of windows, and the URIs of request, decisions, labels and baseline.

    The number is 0, with a reason, if no model is live, no window is complete, or `as_of` has not come."""
    if call.state.started and call.state.as_of > call.state.started:
        return WindowsPlanned(count=0, reason=NoWindows.NOT_YET)
    look_again(call)
    champion = ROOM.pointers.champion()
    if champion is None:
        return WindowsPlanned(count=0, reason=NoWindows.NO_CHAMPION)
    monitors = ROOM.workload.monitors
    days = list(stored_days(S3, ROOM.names.platform.bucket("lake"), ROOM.names.workload))
    cursors = Cursors(input=Cursor.end(ROOM.state, "monitor"), error=Cursor.end(ROOM.state, "monitor-error"))
    windows = plan(
        cursors=cursors,
        first=min(days, default=None),
        as_of=call.state.as_of,
        days=monitors.window_days,
        in_a_row=monitors.error_windows,
    )
    if not windows:
        return WindowsPlanned(count=0, reason=NoWindows.NONE_COMPLETE)
    inputs = Inputs(s3=S3, names=ROOM.names, run=call.run)
    request = request_of(ROOM, S3, champion, windows, as_of=call.state.as_of)
    # The windows are in order of time: one stretch has the labels of all, and those that the rule repeats in them.
    spec, before = ROOM.workload.prediction, 0.0
    if request.floor and request.floor.rule is None:
        before = spec.horizons[0] - min(ROOM.workload.gates.baseline.label_hours(spec.horizons))
    labels = labels_between(LAKE, spec, windows[0].start - timedelta(hours=before), windows[-1].end)
    planned = inputs.write(request, folder=ROOM.settings.folder, windows=windows, labels=labels, champion=champion)
    # Only the first run can leave out days: later ones follow the cursor.
    if cursors.input is None:
        planned = planned.model_copy(update={"days_left_out": sum(day < windows[0].start.date() for day in days)})
    ROOM.logger.info("windows to judge", extra=planned.model_dump())
    return planned


def look_again(call: StepInput[MonitorInput]) -> None:
    """Have the labels judged that came before their decisions: by now these may be there.

    The newest MOST_EARLY batches are looked at: what waits beyond them waits for a person."""
    early = [batch for batch in HeldDrop.every(ROOM.state).values() if batch.status == "waiting" and batch.is_early]
    for batch in sorted(early, key=lambda each: each.held_at)[-MOST_EARLY:]:
        detail = {"workload": ROOM.names.workload, **batch.group.model_dump(mode="json")}
        document = {"cause": call.state.cause, "as_of": call.state.as_of.isoformat(), "detail": detail}
        try:
            STATES.start_execution(
                stateMachineArn=ROOM.names.machine_arn("ingest"),
                name=f"early-{batch.object.drop_id[:20]}-{hash_of_run(call.run)}",
                input=json.dumps(document),
            )
        except STATES.exceptions.ExecutionAlreadyExists:
            ROOM.logger.info("looked at again before", extra={"drop": batch.object.drop_id})
