"""Starts an execution for dropped objects, small ones together: once, however often S3 sends their events.

If an execution of several drops fails, each of its drops gets an execution of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from botocore.exceptions import ClientError, HTTPClientError

from millrace.errors import ConflictError, NoDropError
from millrace.functions.intake.arrivals import (
    Arrival,
    arrival_of,
    bundle,
    events_in,
    failed_run,
    groups,
    one_by_one,
    start_of,
)
from millrace.messages.execution import ENDED
from millrace.messages.ingest import LISTED, SMALL_BYTES
from millrace.names import MACHINE_OF_FEED
from millrace.settings.intake import IntakeSettings
from millrace.state.claims import Claims, Start
from millrace.state.pointers import ReleasePointers
from millrace.state.slots import PREFIX, TOGETHER, Slots
from millrace.state.table import StateTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = IntakeSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
STATES, SQS = boto3.client("stepfunctions"), boto3.client("sqs")
NOT_STARTED = (STATES.exceptions.ExecutionDoesNotExist, STATES.exceptions.StateMachineDoesNotExist)
STATE = StateTable(boto3.client("dynamodb"), NAMES)
SLOTS, CLAIMS, POINTERS = Slots(STATE), Claims(STATE), ReleasePointers(STATE)
MACHINES = frozenset(MACHINE_OF_FEED.values())
DELAY_S, LONGER, MOST_DELAY_S = 2, 1.2, 300
"""A drop that waits comes again after DELAY_S seconds. Each further delay is LONGER times as long, up to MOST_DELAY_S:
so a drop waits a fifth longer than it must."""
MOST_EXPONENT = 100
"""A bound on the exponent of LONGER, far beyond the longest delay: after some thousand waits the power would be larger
than any float."""
SPREAD = 0.5
"""The share by which a delay may be shorter or longer, at random. Otherwise all drops of a burst would come back in one
moment: some groups of them would find a slot, and the slots would then be empty until the next such moment."""
LONG_WAITS = 10
"""After so many waits, a minute, the intake looks whether the holders of the slots still run."""
MISSING_FOR = timedelta(minutes=1)
"""Longer than from taking a slot to the start of its execution."""
SLOW = timedelta(minutes=2)
"""An execution of small drops that runs for longer gives its slot to the next group, and goes on without it. It may
have a small file of millions of rows, and would fail after an hour."""


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The messages that must come again because of an error, in the form that Lambda expects for a batch of SQS.

    A message is about a drop, about a failed execution, or it goes to the dead letters."""
    arrivals: dict[str, Arrival] = {}
    records_of: dict[str, list[SQSRecord]] = {}
    failed: list[SQSRecord] = []
    for record in SQSEvent(event).records:
        if run_name := failed_run(record.body, NAMES, MACHINES):
            failed += take(partial(redo, run_name), [record], body=record.body)
            continue
        for told in events_in(record.body):
            try:
                arrival = arrival_of(told, NAMES, has_images=SETTINGS.has_images)
            except NoDropError as error:
                failed += attempt(partial(reject, told, reason=str(error)), [record])
                continue
            if f"{LISTED}/" in arrival.object["key"] and arrival.size <= SMALL_BYTES:
                continue  # it comes with the list of its folder
            # Several messages may be about one drop: it is in one group, and all of them share what becomes of it.
            arrivals.setdefault(arrival.drop_id, arrival)
            records_of.setdefault(arrival.drop_id, []).append(record)
    for group in groups(arrivals.values()):
        records = [record for arrival in group for record in records_of[arrival.drop_id]]
        failed += take(partial(start, group), records, body=bundle(group))
    # A message may be about the drops of several groups.
    return {"batchItemFailures": [{"itemIdentifier": each} for each in dict.fromkeys(one.message_id for one in failed)]}


def attempt(action: Callable[[], None], records: list[SQSRecord]) -> list[SQSRecord]:
    """The records if the action met an error, else none: other messages of the batch need not come again for it."""
    try:
        action()
    except Exception:
        return again(records)
    return []


def again(records: list[SQSRecord]) -> list[SQSRecord]:
    """The records; the error that is being handled goes to the log."""
    LOGGER.exception("comes again", extra={"messages": [record.message_id for record in records]})
    return records


def reject(body: str, *, reason: str) -> None:
    """Send a message that is not about a drop to the dead letters, with the reason."""
    LOGGER.error("no drop", extra={"reason": reason})
    attributes = {"reason": {"DataType": "String", "StringValue": reason}}
    SQS.send_message(QueueUrl=SETTINGS.dead_queue_url, MessageBody=body, MessageAttributes=attributes)


def take(action: Callable[[], None], records: list[SQSRecord], *, body: str) -> list[SQSRecord]:
    """Start the executions that the records are about. Without a free slot one message with this body waits.

    Returns the records that must come again because of an error."""
    try:
        action()
    except ConflictError as error:
        return attempt(partial(wait, body, records, reason=str(error)), records)
    except Exception:
        return again(records)
    return []


def waits_of(record: SQSRecord) -> int:
    """How often the message has waited so far."""
    given: Mapping[str, Any] = record["messageAttributes"]
    return int(given.get("waits", {}).get("stringValue", 0))


def sent_at(record: SQSRecord) -> datetime:
    """When the message was sent the last time, by the clock of SQS."""
    return datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)


def wait(body: str, records: list[SQSRecord], *, reason: str) -> None:
    """Send one message with a delay in place of those that came: a wait then does not count as a receive.

    The drops of a group wait in one message, and come back together with others that wait: so groups grow. A message
    that is left in flight instead would come back after minutes, when its visibility ends, and would become a dead
    letter after some receives. The more often it has waited, the later it comes: a backlog of a day costs little."""
    waits = max(map(waits_of, records)) + 1
    if waits > LONG_WAITS:
        free_idle(now=max(map(sent_at, records)))
    usual_s = min(MOST_DELAY_S, DELAY_S * LONGER ** min(waits - 1, MOST_EXPONENT))
    delay_s = round(usual_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311 # nosec B311 # parts retries
    LOGGER.info("waits", extra={"reason": reason, "delay_s": delay_s, "waits": waits})
    SQS.send_message(
        QueueUrl=SETTINGS.queue_url,
        MessageBody=body,
        DelaySeconds=delay_s,
        MessageAttributes={"waits": {"DataType": "Number", "StringValue": str(waits)}},
    )


def free_idle(*, now: datetime) -> None:
    """Free the slots of executions that have ended, are slow, or were not started within MISSING_FOR.

    The event of an end may be lost, and an intake may die before the start. The other groups of the feed would then
    wait until the sweep."""
    for held in SLOTS.holdings():
        try:
            found = STATES.describe_execution(executionArn=held.holder)
            is_slow = held.key.endswith(TOGETHER) and found["startDate"] + SLOW < now
            if is_slow or found["status"] in ENDED:
                SLOTS.free(held.holder, likely=held.key.removeprefix(PREFIX))
        except NOT_STARTED:
            if held.missing_since is None:
                SLOTS.mark_missing(held, as_of=now)
            elif held.missing_since + MISSING_FOR <= now:
                SLOTS.free_missing(held)


def start(group: Sequence[Arrival]) -> None:
    """Start one execution for all drops of the group. A drop that is claimed already keeps the execution that it has.

    Raises ConflictError if every slot is taken. Also for drops to score while no model is live: their execution would
    hold a slot until the first release. The function `cleanup` frees a slot when its execution ends."""
    wanted = start_of(group, NAMES)
    if wanted.machine == "score" and POINTERS.champion() is None:
        raise ConflictError(f"{NAMES.machine(wanted.machine)}: expected a live model, there is none yet")
    # The order is slot, claims, execution. If the function dies after the first, the sweep frees the slot. If it dies
    # after the second, the next delivery of any message finds the claims and starts this very execution. No claim is
    # ever taken over.
    with slot(wanted):
        is_new = CLAIMS.take(wanted, [each.drop_id for each in group], now=datetime.now(UTC))
        if is_new:
            run(wanted)
    if is_new:
        return
    # Some drop is claimed already. Either this very group was claimed before, even if single claims are deleted by now.
    if known := CLAIMS.group(wanted.name):
        if known.pool != wanted.pool:  # a drop of a group that failed has a run of its own, in another pool
            SLOTS.free(NAMES.execution_arn(wanted.machine, wanted.name), likely=wanted.pool)
        with slot(known):
            run(known)
        return
    # Or drops of it belong to other executions: these are started, if they have not been, and the rest is a new group.
    SLOTS.free(NAMES.execution_arn(wanted.machine, wanted.name), likely=wanted.pool)
    found = {each.drop_id: CLAIMS.execution_of(each.drop_id) for each in group}
    for name in {name for name in found.values() if name}:
        if other := CLAIMS.group(name):
            with slot(other):
                run(other)
        else:
            LOGGER.info("known", extra={"execution": name})
    rest = [each for each in group if not found[each.drop_id]]
    if len(rest) == len(group):
        raise ConflictError(f"{wanted.name}: expected the claim that was in the way, it was deleted since")
    if rest:
        start(rest)


def redo(run_name: str) -> None:
    """Start an execution of its own for each drop of the failed execution, if it had several drops.

    A repeated call starts none twice. Raises ConflictError if every slot is taken: the next delivery then finds the
    executions that were started."""
    group = CLAIMS.group(run_name)
    for each in one_by_one(group) if group else ():
        CLAIMS.take_apart(each, of=run_name, now=datetime.now(UTC))
        with slot(each):
            run(each)


@contextmanager
def slot(wanted: Start) -> Iterator[None]:
    """A slot for the execution. It is freed if the block fails, unless the execution may run all the same.

    In that case the next delivery finds the execution running, or the sweep finds that there is none. Raises
    ConflictError if every slot is taken."""
    holder = NAMES.execution_arn(wanted.machine, wanted.name)
    limit = SETTINGS.slots_together if wanted.pool.endswith(TOGETHER) else SETTINGS.slots
    if not SLOTS.take(wanted.pool, holder=holder, limit=limit):
        raise ConflictError(f"{wanted.pool}: expected a free slot of {limit}, all are taken")
    try:
        yield
    except Exception as error:
        if not (is_answer_lost(error) or may_run(holder)):
            SLOTS.free(holder, likely=wanted.pool)
        raise


def is_answer_lost(error: Exception) -> bool:
    """Whether AWS may have started the execution in spite of the error.

    It surely has not if the very first answer was a refusal. A call without an answer is repeated by botocore, and the
    repetition may be refused for another reason."""
    # botocore counts its repetitions in the answer; an error of the server (5xx) may come after the start.
    if isinstance(error, ClientError):
        answer = error.response.get("ResponseMetadata", {})
        is_certain = answer.get("HTTPStatusCode", 500) < 500 and not answer.get("RetryAttempts", 0)
        return error.operation_name == "StartExecution" and not is_certain
    return isinstance(error, HTTPClientError)


def may_run(holder: str) -> bool:
    """Whether the execution runs, or nobody can say. An earlier delivery may have started it."""
    try:
        return is_running(holder)
    except NOT_STARTED:
        return False
    except Exception:
        LOGGER.exception("keeps its slot", extra={"execution": holder})
        return True


def run(wanted: Start) -> None:
    """Start the execution, once. If it was started before, it goes on, or it has ended and its slot is freed."""
    holder = NAMES.execution_arn(wanted.machine, wanted.name)
    try:
        STATES.start_execution(stateMachineArn=NAMES.machine_arn(wanted.machine), name=wanted.name, input=wanted.input)
    except STATES.exceptions.ExecutionAlreadyExists:
        # If it has ended, `cleanup` has run already and will not free the slot that was taken now.
        if not is_running(holder):
            SLOTS.free(holder, likely=wanted.pool)
            LOGGER.info("known", extra={"execution": wanted.name})
            return
    LOGGER.info("started", extra={"execution": wanted.name})


def is_running(execution_arn: str) -> bool:
    """Whether the execution still runs, or will be redriven. If it has ended, its slot must be freed again."""
    return STATES.describe_execution(executionArn=execution_arn)["status"] in ("RUNNING", "PENDING_REDRIVE")
