"""Start the machine of dropped objects' feed, small ones together; once however often S3 sends their events.

Small ones whose execution failed are started again, each alone."""

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
"""A drop that waits is looked at again after this time, then each time after 1.2 times as long, up to the most."""
MOST_EXPONENT = 100
"""Far beyond the longest delay; after some thousand waits the power would be larger than any float."""
SPREAD = 0.5
"""Each delay is up to so much shorter or longer. Without it the drops of a burst would all come back in one moment, ten
groups of them would find a slot, and the slots would be empty until the next such moment."""


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The messages that must come again: those that met an error."""
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
        arrivals.setdefault(arrival.drop_id, arrival)
        records_of.setdefault(arrival.drop_id, []).append(record)
    for group in groups(arrivals.values(), has_images=SETTINGS.has_images):
        records = [record for arrival in group for record in records_of[arrival.drop_id]]
        failed += take(partial(start, group), records)
    return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record in failed]}


def attempt(action: Callable[[], None], records: list[SQSRecord]) -> list[SQSRecord]:
    """The records, where the action met an error; what else came in the batch must not come again for it."""
    try:
        action()
    except Exception:
        return again(records)
    return []


def again(records: list[SQSRecord]) -> list[SQSRecord]:
    """The records, with the error that is handled in the log."""
    LOGGER.exception("comes again", extra={"messages": [record.message_id for record in records]})
    return records


def reject(record: SQSRecord, *, reason: str) -> None:
    """Send a message that is not about a drop to the dead letters, with the reason."""
    LOGGER.error("no drop", extra={"reason": reason})
    attributes = {"reason": {"DataType": "String", "StringValue": reason}}
    SQS.send_message(QueueUrl=SETTINGS.dead_queue_url, MessageBody=record.body, MessageAttributes=attributes)


def take(action: Callable[[], None], records: list[SQSRecord]) -> list[SQSRecord]:
    """Start what `records` tell of; without a slot they wait.

    Returns the records that met an error."""
    try:
        action()
    except ConflictError as error:
        return wait_together(records, reason=str(error))
    except Exception:
        return again(records)
    return []


def wait_together(records: list[SQSRecord], *, reason: str) -> list[SQSRecord]:
    """One delay for all: what waits together comes back together, and goes together when a slot is free.

    Returns the records that met an error."""
    waits = max(waits_of(record) for record in records)
    usual_s = min(MOST_DELAY_S, DELAY_S * LONGER ** min(waits, MOST_EXPONENT))
    delay_s = round(usual_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311 # nosec B311 # parts retries
    LOGGER.info("waits", extra={"reason": reason, "delay_s": delay_s, "waits": waits + 1})
    once = partial(wait, delay_s=delay_s, waits=waits + 1)
    return [each for record in records for each in attempt(partial(once, record), [record])]


def waits_of(record: SQSRecord) -> int:
    """How often the message has waited."""
    given: Mapping[str, Any] = record["messageAttributes"]
    return int(given.get("waits", {}).get("stringValue", 0))


def wait(record: SQSRecord, *, delay_s: int, waits: int) -> None:
    """Send the message again, to come back soon, and let this one go: what only waits costs no receive.

    A message that is left in flight instead would come back when its visibility ends, after minutes, and be a dead
    letter after some of them. The more often it has waited, the later it comes: a backlog of a day costs little."""
    SQS.send_message(
        QueueUrl=SETTINGS.queue_url,
        MessageBody=record.body,
        DelaySeconds=delay_s,
        MessageAttributes={"waits": {"DataType": "Number", "StringValue": str(waits)}},
    )


def start(group: Sequence[Arrival]) -> None:
    """Every drop of the group has an execution: all the same one, or those had another that have it still.

    Raises ConflictError when every slot is taken, and for drops to score while no model is live: as an execution they
    would hold a slot until the first release. The function `cleanup` frees a slot when its execution ends."""
    wanted = start_of(group, NAMES)
    if wanted.machine == "score" and POINTERS.champion() is None:
        raise ConflictError(f"{NAMES.machine(wanted.machine)}: expected a live model, there is none yet")
    # Slot, claims, execution. Who dies after the first leaves a slot that the sweep frees; after the second, claims
    # by which the next delivery of any of the messages starts this very execution. Nothing is ever taken over.
    with slot(wanted):
        is_new = CLAIMS.take(wanted, [each.drop_id for each in group], now=datetime.now(UTC))
        if is_new:
            run(wanted)
    if is_new:
        return
    if known := CLAIMS.group(wanted.name):  # of all these drops, even where their own claims are deleted already
        with slot(known):
            run(known)
        return
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
    """Every drop of the failed execution has one of its own, where it had several; in force however often it is called.

    Raises ConflictError when every slot is taken: those that were started are found again."""
    group = CLAIMS.group(run_name)
    for each in one_by_one(group) if group else ():
        CLAIMS.take_apart(each, of=run_name, now=datetime.now(UTC))
        with slot(each):
            run(each)


@contextmanager
def slot(wanted: Start) -> Iterator[None]:
    """The execution has a slot, which is free again when the block fails, unless the execution may run all the same.

    Then the next delivery finds it, or the sweep that there is none. Raises ConflictError when every slot is taken."""
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
    """Whether AWS may have started the execution all the same: only a refusal by the first answer says that it has not.

    A call that had no answer is repeated by botocore, and the repetition may be refused for another reason."""
    if isinstance(error, ClientError):
        answer = error.response.get("ResponseMetadata", {})
        is_certain = answer.get("HTTPStatusCode", 500) < 500 and not answer.get("RetryAttempts", 0)
        return error.operation_name == "StartExecution" and not is_certain
    return isinstance(error, HTTPClientError)


def may_run(holder: str) -> bool:
    """Whether the execution runs, or nobody can say: an earlier delivery may have started it."""
    try:
        return is_running(holder)
    except (STATES.exceptions.ExecutionDoesNotExist, STATES.exceptions.StateMachineDoesNotExist):
        return False
    except Exception:
        LOGGER.exception("keeps its slot", extra={"execution": holder})
        return True


def run(wanted: Start) -> None:
    """Start the execution, once: one that was started before goes on, or has ended and keeps no slot."""
    holder = NAMES.execution_arn(wanted.machine, wanted.name)
    try:
        STATES.start_execution(stateMachineArn=NAMES.machine_arn(wanted.machine), name=wanted.name, input=wanted.input)
    except STATES.exceptions.ExecutionAlreadyExists:
        if not is_running(holder):
            SLOTS.free(wanted.machine, holder)
            LOGGER.info("known", extra={"execution": wanted.name})
            return
    LOGGER.info("started", extra={"execution": wanted.name})


def is_running(execution_arn: str) -> bool:
    """Whether it runs still; the slot of one that has ended was freed, and must be again."""
    return STATES.describe_execution(executionArn=execution_arn)["status"] in ("RUNNING", "PENDING_REDRIVE")
