"""Amazon EventBridge Scheduler.

AWS does: call the target at each due time, in the schedule's time zone and under its role. It tries again for a day,
    unless the target says less.
moto does: keep schedules, and fire none.
We do: fire at every due time in order, also at those that a move of the clock passes. The target gets the due time.
Weaker: a flexible window fires at its start. Tries are few and fast. Schedules of rules, first and last times and what
    follows the last one are refused by name.
"""

from __future__ import annotations

import heapq
import logging
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.events.responses import EventsHandler
from moto.scheduler.responses import EventBridgeSchedulerResponse

from localcloud.events import targets
from localcloud.iam import role_calls
from localcloud.iam.identity import refused
from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.permission import key_arn
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.dispatcher import dispatcher
from localcloud.kernel.patching import replace
from localcloud.scheduler.schedule_times import next_due

# Fires the schedules of EventBridge Scheduler at each due time, in order.
#
# When a move of the clock returns, everything has fired that was due on the way. A target gets the time that was due
# (`<aws.scheduler.scheduled-time>`), not the time of the machine.

LOG = logging.getLogger(__name__)
TICK_S = 0.25
"""Real seconds between two looks whether something is due while nobody moves the clock."""
PRINCIPAL = "scheduler.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One due time of one schedule."""

    schedule: Any
    """moto's `Schedule`."""
    due: datetime
    execution_id: str
    """The same for all attempts."""


class Schedules:
    """Knows when each schedule is due next, and fires what is due."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._firing = threading.RLock()
        self._fired_to = cloud.clock.now()
        """Up to this time everything has fired."""
        self._next: dict[str, tuple[str, datetime | None]] = {}
        """By ARN the signature of a schedule and its next due time; None if it is never due again."""

    def fire(self, until: datetime) -> None:
        """Fire everything that is due up to `until`, in the order of time, and return when that is done."""
        # A move of the clock and the tick call this from two threads. Under the lock each due time fires once.
        # `waiting` is a heap with one due time of each schedule. A schedule that has fired comes back into it with its
        # next due time, so schedules fire in turn: a 0:30, b 6:30, a 12:30, b 18:30.
        with self._firing:
            waiting = [(due, arn) for arn, due in self._all_due().items() if due <= until]
            heapq.heapify(waiting)
            while waiting and not self._cloud.stopping.is_set():
                due, arn = heapq.heappop(waiting)
                try:
                    self._fire_one(arn, due)
                except Exception:
                    # One schedule that fails must not hold up the others, nor the move of the clock.
                    LOG.exception("%s at %s", arn, due)
                following = self._following(arn, due)
                if following is not None and following <= until:
                    heapq.heappush(waiting, (following, arn))
            # The tick may have read the time before a move of the clock and come here after it: never go back.
            self._fired_to = max(self._fired_to, until)

    def _all_due(self) -> dict[str, datetime]:
        """The next due time of each schedule by its ARN. That of a new or changed schedule is worked out here."""
        found = {}
        for arn, schedule in self._schedules().items():
            text = _signature(schedule)
            if self._next.get(arn, ("", None))[0] != text:
                # A schedule that is seen for the first time counts from its creation: the clock may have moved on
                # since. One that was changed must not fire again for times at which it has fired before.
                after = max(_created(schedule), self._fired_to) if arn in self._next else _created(schedule)
                self._next[arn] = (text, self._due_after(schedule, after))
            if (due := self._next[arn][1]) is not None:
                found[arn] = due
        for arn in set(self._next) - set(self._schedules()):
            del self._next[arn]
        return found

    def _following(self, arn: str, due: datetime) -> datetime | None:
        schedule = self._schedules().get(arn)
        if schedule is None:
            return None
        following = self._due_after(schedule, due)
        self._next[arn] = (_signature(schedule), following)
        return following

    def _due_after(self, schedule: Any, after: datetime) -> datetime | None:
        """The next due time after `after`; None if the schedule is off, is over, or cannot be read."""
        if schedule.state != "ENABLED":
            return None
        zone = schedule.schedule_expression_timezone or "UTC"
        try:
            return next_due(schedule.schedule_expression, after, zone=zone, start=_created(schedule))
        except ValueError as error:
            LOG.error("%s never fires: %s", schedule.arn, error)
            return None

    def _fire_one(self, arn: str, due: datetime) -> None:
        schedule = self._schedules().get(arn)
        if schedule is None:
            return
        _attempt(self._cloud, Occurrence(schedule=schedule, due=due, execution_id=str(uuid.uuid4())), 1)

    def _schedules(self) -> dict[str, Any]:
        """moto's schedules by ARN."""
        groups = list(moto_backend("scheduler", self._cloud.region).schedule_groups.values())
        return {schedule.arn: schedule for group in groups for schedule in list(group.schedules.values())}


def install(cloud: Cloud) -> None:
    """Fire the cloud's schedules from now on, as time passes and as the clock is moved."""
    _refuse(EventsHandler, "put_rule", ("ScheduleExpression",))
    for operation in ("create_schedule", "update_schedule"):
        _refuse(EventBridgeSchedulerResponse, operation, ("StartDate", "EndDate", "ActionAfterCompletion"))
    schedules = cloud.parts[Schedules] = Schedules(cloud)
    cloud.clock.on_move(lambda _before, after: schedules.fire(after))
    cloud.every(TICK_S, "schedules", lambda: schedules.fire(cloud.clock.now()))


def _refuse(responses: Any, operation: str, names: tuple[str, ...]) -> None:
    """Let the operation refuse these members of a request."""
    answer = getattr(responses, operation)

    def covered(self: Any) -> Any:
        for name in names:
            if self._get_param(name):
                raise JsonRESTError("ValidationException", f"the local cloud does not cover {name}")
        return answer(self)

    replace(responses, **{operation: covered})


def _attempt(cloud: Cloud, occurrence: Occurrence, attempt: int) -> None:
    # The first attempt is made before a move of the clock returns; further ones wait real seconds on the dispatcher.
    target = occurrence.schedule.target
    body = _body(occurrence, attempt)
    try:
        _decrypt(cloud, occurrence.schedule)
        role_calls.call(cloud, target, body, principal=PRINCIPAL)
    except targets.Undelivered as failure:
        if targets.is_tried_again(target, failure, attempt):
            label = f"schedule {occurrence.schedule.name}"
            wait_s = targets.RETRY_WAITS_S[attempt - 1]
            dispatcher(cloud).submit(label, lambda: _attempt(cloud, occurrence, attempt + 1), after_s=wait_s)
        else:
            _give_up(cloud, occurrence, body, failure, attempt)


def _decrypt(cloud: Cloud, schedule: Any) -> None:
    """Check that the schedule's role may decrypt its input, which lies under the schedule's own key, if it has one.

    Raises Undelivered if it may not. https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html"""
    if not schedule.kms_key_arn:
        return
    mine = {"kms:encryptioncontext:aws:scheduler:schedule:arn": (schedule.arn,)}
    request = Request(action="kms:Decrypt", resources=(key_arn(schedule.kms_key_arn),), context=mine)
    denial = refused(cloud, schedule.target["RoleArn"], "scheduler:InvokeTarget", request)
    if denial is not None:
        raise targets.Undelivered("NO_PERMISSIONS", f"{denial.action} {denial.reason}", is_permanent=True)


def _give_up(cloud: Cloud, occurrence: Occurrence, body: str, failure: targets.Undelivered, attempt: int) -> None:
    LOG.warning("%s: %s", occurrence.schedule.arn, failure)
    target = occurrence.schedule.target
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    if not queue:
        return
    attributes: dict[str, str | int] = {
        "SCHEDULE_ARN": occurrence.schedule.arn,
        "SCHEDULED_TIME": _stamp(occurrence.due),
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": str(failure) or failure.code,
        "EXECUTION_ID": occurrence.execution_id,
        "RETRY_ATTEMPTS": attempt - 1,
    }
    if not failure.is_permanent:
        attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumRetryAttempts"
    try:
        role_calls.call(
            cloud, {"Arn": queue, "RoleArn": target["RoleArn"]}, body, principal=PRINCIPAL, attributes=attributes
        )
    except targets.Undelivered as lost:
        LOG.warning("%s: not even to its dead-letter queue: %s", occurrence.schedule.arn, lost)


def _body(occurrence: Occurrence, attempt: int) -> str:
    """The target's Input with AWS's variables filled in."""
    schedule = occurrence.schedule
    variables = {
        "schedule-arn": schedule.arn,
        "scheduled-time": _stamp(occurrence.due),
        "execution-id": occurrence.execution_id,
        "attempt-number": str(attempt),
    }
    # Without an input AWS sends an event of its own.
    if schedule.target.get("Input") is None:
        raise NotImplementedError(f"{schedule.arn}: a target without Input is not covered by the local cloud")
    text = str(schedule.target["Input"])
    for name, value in variables.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _signature(schedule: Any) -> str:
    """A text that changes when the schedule's due times may change."""
    timing = (schedule.schedule_expression, schedule.schedule_expression_timezone)
    return repr((timing, schedule.state, _created(schedule)))


def _created(schedule: Any) -> datetime:
    return datetime.fromtimestamp(schedule.creation_date, UTC)


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
