"""Starts an execution for dropped objects, small ones together: once, however often S3 sends their events.

If an execution of several drops fails, each of its drops gets an execution of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from botocore.exceptions import ClientError, HTTPClientError

from functions.intake.arrivals import Arrival, arrival_of, groups, start_of
from functions.intake.redo import failed_run, one_by_one
from millrace.errors import ConflictError, NoDropError
from millrace.names import MACHINE_OF_FEED
from millrace.settings.intake import IntakeSettings
from millrace.state.claims import Claims, Start
from millrace.state.pointers import ReleasePointers
from millrace.state.slots import Slots
from millrace.state.table import StateTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = IntakeSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
STATES, SQS = boto3.client("stepfunctions"), boto3.client("sqs")
STATE = StateTable(boto3.client("dynamodb"), NAMES)
SLOTS, CLAIMS, POINTERS = Slots(STATE), Claims(STATE), ReleasePointers(STATE)
MACHINES = frozenset(MACHINE_OF_FEED.values())
DELAY_S, LONGER, MOST_DELAY_S = 10, 1.2, 300
"""A drop that waits comes again after DELAY_S seconds. Each further delay is LONGER times as long, up to
MOST_DELAY_S."""
MOST_EXPONENT = 100
"""A bound on the exponent of LONGER, far beyond the longest delay: after some thousand waits the power would be larger
than any float."""
SPREAD = 0.5
"""The share by which a delay may be shorter or longer, at random. Otherwise all drops of a burst would come back in one
moment: ten groups of them would find a slot, and the slots would then be empty until the next such moment."""


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The messages that must come again because of an error, in the form that Lambda expects for a batch of SQS.

    A message is about a drop, about a failed execution, or it goes to the dead letters."""
    arrivals: dict[str, Arrival] = {}
    records_of: dict[str, list[SQSRecord]] = {}
    failed: list[SQSRecord] = []
    for record in SQSEvent(event).records:
        try:
            arrival = arrival_of(record.body, NAMES)
        except NoDropError as error:
            if run_name := failed_run(record.body, NAMES, MACHINES):
                failed += take(partial(redo, run_name), [record])
                continue
            failed += attempt(partial(reject, record, reason=str(error)), [record])
            continue
        # Several messages may be about one drop: it is in one group, and all of them share what becomes of it.
        arrivals.setdefault(arrival.drop_id, arrival)
        records_of.setdefault(arrival.drop_id, []).append(record)
    for group in groups(arrivals.values(), has_images=SETTINGS.has_images):
        records = [record for arrival in group for record in records_of[arrival.drop_id]]
        failed += take(partial(start, group), records)
    return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record in failed]}


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


def reject(record: SQSRecord, *, reason: str) -> None:
    """Send a message that is not about a drop to the dead letters, with the reason."""
    LOGGER.error("no drop", extra={"reason": reason})
    attributes = {"reason": {"DataType": "String", "StringValue": reason}}
    SQS.send_message(QueueUrl=SETTINGS.dead_queue_url, MessageBody=record.body, MessageAttributes=attributes)


def take(action: Callable[[], None], records: list[SQSRecord]) -> list[SQSRecord]:
    """Start the executions that the records are about. Without a free slot the records wait.

    Returns the records that must come again because of an error."""
    try:
        action()
    except ConflictError as error:
        return wait_together(records, reason=str(error))
    except Exception:
        return again(records)
    return []


def wait_together(records: list[SQSRecord], *, reason: str) -> list[SQSRecord]:
    """Let the records wait for the same time: then they come back together, and go together when a slot is free.

    Returns the records that must come again because of an error."""
    waits = max(waits_of(record) for record in records)
    usual_s = min(MOST_DELAY_S, DELAY_S * LONGER ** min(waits, MOST_EXPONENT))
    delay_s = round(usual_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311 # nosec B311 # parts retries
    LOGGER.info("waits", extra={"reason": reason, "delay_s": delay_s, "waits": waits + 1})
    once = partial(wait, delay_s=delay_s, waits=waits + 1)
    return [each for record in records for each in attempt(partial(once, record), [record])]


def waits_of(record: SQSRecord) -> int:
    """How often the message has waited so far."""
    given: Mapping[str, Any] = record["messageAttributes"]
    return int(given.get("waits", {}).get("stringValue", 0))


def wait(record: SQSRecord, *, delay_s: int, waits: int) -> None:
    """Send the message again with a delay, and let this one go: a wait then does not count as a receive.

    A message that is left in flight instead would come back after minutes, when its visibility ends, and would become a
    dead letter after some receives. The more often it has waited, the later it comes: a backlog of a day costs
    little."""
    SQS.send_message(
        QueueUrl=SETTINGS.queue_url,
        MessageBody=record.body,
        DelaySeconds=delay_s,
        MessageAttributes={"waits": {"DataType": "Number", "StringValue": str(waits)}},
    )


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
        with slot(known):
            run(known)
        return
    # Or drops of it belong to other executions: these are started, if they have not been, and the rest is a new group.
    SLOTS.free(wanted.machine, NAMES.execution_arn(wanted.machine, wanted.name))
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
    if not SLOTS.take(wanted.machine, holder=holder, limit=SETTINGS.slots):
        raise ConflictError(f"{NAMES.machine(wanted.machine)}: expected a free slot of {SETTINGS.slots}, all are taken")
    try:
        yield
    except Exception as error:
        if not (is_answer_lost(error) or may_run(holder)):
            SLOTS.free(wanted.machine, holder)
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
    except (STATES.exceptions.ExecutionDoesNotExist, STATES.exceptions.StateMachineDoesNotExist):
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
            SLOTS.free(wanted.machine, holder)
            LOGGER.info("known", extra={"execution": wanted.name})
            return
    LOGGER.info("started", extra={"execution": wanted.name})


def is_running(execution_arn: str) -> bool:
    """Whether the execution still runs, or will be redriven. If it has ended, its slot must be freed again."""
    return STATES.describe_execution(executionArn=execution_arn)["status"] in ("RUNNING", "PENDING_REDRIVE")
