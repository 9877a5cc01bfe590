"""Reads S3's events about drops, groups the drops that go together, and starts their executions, each once.

Small drops of one feed go together: they have one execution, one commit, one transform job.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html (the event, as EventBridge delivers it)"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import boto3
from botocore.exceptions import ClientError, HTTPClientError
from pydantic import Field, ValidationError

from millrace.contract.schema import FEEDS, Feed
from millrace.errors import ConflictError, NoDropError
from millrace.functions.room import Room
from millrace.messages.envelope import Message
from millrace.messages.execution import ENDED, FAILURES, ExecutionEnded
from millrace.messages.ingest import LISTED, MOST_TOGETHER, SMALL_BYTES, bytes_in_json
from millrace.names import MACHINE_OF_FEED, WorkloadNames, drop_id_of
from millrace.packing import packed
from millrace.settings.drop import IntakeSettings
from millrace.state.claims import Claims, Start
from millrace.state.holdings import PREFIX, TOGETHER, Slots, pool_of

GROUP_BYTES = 16 * 2**20
"""The most bytes of all drops of a group: one function reads them one by one."""
LONGEST_KEY, LONGEST_VERSION = 200, 64
"""The most bytes, in JSON, of the key and of the version of a drop that goes together with others: the state of an
execution has 256 KiB at most, and it holds the names of its drops several times."""


class _Bucket(Message):
    name: str


class _Object(Message):
    key: str
    size: int = 0
    version_id: str = Field(default="", alias="version-id")
    sequencer: str = ""


class _Detail(Message):
    bucket: _Bucket
    object: _Object
    requester: str = ""
    source_ip: str = Field(default="", alias="source-ip-address")

    @property
    def who(self) -> str:
        """`account 123456789012 from 10.0.0.7`."""
        account = f"account {self.requester}" if self.requester else ""
        return f"{account} from {self.source_ip}" if account and self.source_ip else account


class _Event(Message):
    id: str
    time: datetime
    source: Literal["aws.s3"]
    kind: Literal["Object Created"] = Field(alias="detail-type")
    detail: _Detail


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One version of one object that came, by S3's event."""

    machine: Literal["ingest", "score"]
    feed: Feed
    drop_id: str
    size: int
    """The object's bytes; 0 if the event does not say."""
    cause: str
    """The event's id."""
    as_of: str
    """The event's time, in ISO 8601."""
    object: Mapping[str, Any]
    """The drop, as an item of `detail.objects` in the input of its execution."""
    is_small: bool
    """Whether it may go together with others. A drop of unknown size may not, nor one that may name images."""
    event: str


def events_in(body: str) -> list[str]:
    """The events of a message: several if their drops have waited together (`bundle`)."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return [body]
    is_bundle = isinstance(found, list) and found and all(isinstance(each, str) for each in found)
    return found if is_bundle else [body]


def bundle(arrivals: Sequence[Arrival]) -> str:
    """The body of one message about all these drops."""
    events = [each.event for each in arrivals]
    return events[0] if len(events) == 1 else json.dumps(events)


def arrival_of(body: str, names: WorkloadNames, *, has_images: bool = False) -> Arrival:
    """The arrival that the event is about.

    `has_images` says whether rows may have images. Then a small drop may be a manifest of large objects, and their size
    is not known here. Drops of labels have no images.
    Raises NoDropError for any other message; it says what was expected and what came."""
    try:
        event = _Event.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(message)"
        raise NoDropError(f"{field}: {first['msg']}, came {str(first['input'])[:200]}") from None
    bucket, item = event.detail.bucket.name, event.detail.object
    feed, as_of = _feed(bucket, item.key, names), event.time.isoformat().replace("+00:00", "Z")
    drop_id = drop_id_of(bucket, item.key, item.version_id)
    return Arrival(
        machine=MACHINE_OF_FEED[feed],
        feed=feed,
        drop_id=drop_id,
        size=item.size,
        cause=event.id,
        as_of=as_of,
        object={
            "bucket": bucket,
            "key": item.key,
            "version_id": item.version_id,
            "size": item.size,
            "sequencer": item.sequencer,
            "drop_id": drop_id,
            "as_of": as_of,
            "requester": event.detail.who,
        },
        is_small=_is_small(item) and (feed == "labels" or not has_images),
        event=body,
    )


def groups(arrivals: Iterable[Arrival]) -> Iterator[list[Arrival]]:
    """The drops in the groups in which they go together; a drop that is not small is alone."""
    small: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        if arrival.is_small:
            small.setdefault(arrival.feed, []).append(arrival)
        else:
            yield [arrival]
    for of_feed in small.values():
        yield from packed(of_feed, (lambda arrival: arrival.size, GROUP_BYTES), most=MOST_TOGETHER)


def _is_small(item: _Object) -> bool:
    key, version = bytes_in_json(item.key), bytes_in_json(item.version_id)
    is_list = item.key.endswith(f"{LISTED}.json")  # its files may have 500 times as many bytes
    return 0 < item.size <= SMALL_BYTES and not is_list and key <= LONGEST_KEY and version <= LONGEST_VERSION


def start_of(arrivals: Sequence[Arrival], names: WorkloadNames) -> Start:
    """The execution for these drops of one feed, at least one. The arrival of the last drop counts as its present time.

    EventBridge delivers the same event again with the same id and time, so a redelivery of a single drop gives the same
    name and the same input. Another event about the same version gives only the same name."""
    last = max(arrivals, key=lambda each: each.as_of)
    objects = [dict(each.object) for each in arrivals]
    detail = {"workload": names.workload, "feed": last.feed, "objects": objects}
    document = {"cause": last.cause, "as_of": last.as_of, "detail": detail}
    # A run of one drop has the drop's id as its name, a run of several drops the digest of their ids.
    ids = [each.drop_id for each in arrivals]
    name = ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()
    pool = pool_of(last.machine, last.feed, is_together=last.is_small)
    return Start(machine=last.machine, pool=pool, name=name, input=json.dumps(document, sort_keys=True))


def _feed(bucket: str, key: str, names: WorkloadNames) -> Feed:
    """The feed of an object of this workload, by its folder. Raises NoDropError for an object anywhere else."""
    landing = names.platform.bucket("landing")
    workload, _, rest = key.partition("/")
    folder, _, name = rest.partition("/")
    feed = next((one for one in FEEDS if one == folder), None)
    if bucket != landing or workload != names.workload or feed is None or not name:
        expected = f"s3://{landing}/{names.workload}/<{'|'.join(MACHINE_OF_FEED)}>/<name>"
        raise NoDropError(f"detail.object.key: expected {expected}, came s3://{bucket}/{key}")
    return feed


class _Ended(Message):
    source: Literal["aws.states"]
    detail: ExecutionEnded


def failed_run(body: str, names: WorkloadNames, machines: Iterable[str]) -> str:
    """The name of the failed execution that the message is about; empty for any other message.

    The execution is one of the `machines` of this workload."""
    try:
        ended = _Ended.model_validate_json(body).detail
    except ValidationError:
        return ""
    is_ours = ended.machine in {names.machine_arn(machine) for machine in machines}
    return ended.run if is_ours and ended.status in FAILURES else ""


def one_by_one(start: Start) -> list[Start]:
    """An execution for each drop of this one, named as if the drop had come alone; none if it had only one drop.

    So a failed run of several drops is redone: a small file may hold millions of rows, of which a function runs out of
    memory or time for all drops of its run."""
    # Cause and feed stay; time and objects become those of the one drop.
    document = json.loads(start.input)
    detail = document["detail"]
    if len(detail["objects"]) == 1:
        return []
    return [
        Start(
            machine=start.machine,
            pool=pool_of(start.machine, detail["feed"]),
            name=each["drop_id"],
            input=json.dumps(
                {**document, "as_of": each["as_of"], "detail": {**detail, "objects": [each]}}, sort_keys=True
            ),
        )
        for each in detail["objects"]
    ]


MISSING_FOR = timedelta(minutes=1)
"""Longer than from taking a slot to the start of its execution."""
SLOW = timedelta(minutes=2)
"""An execution of small drops that runs for longer gives its slot to the next group, and goes on without it. It may
have a small file of millions of rows, and would fail after an hour."""


class Executions:
    """The executions of one workload that drops start."""

    def __init__(self, room: Room[IntakeSettings]) -> None:
        self._room, self._names, self.states = room, room.names, boto3.client("stepfunctions")
        self.slots, self.claims = Slots(room.state), Claims(room.state)
        missing = self.states.exceptions
        self._not_started = missing.ExecutionDoesNotExist, missing.StateMachineDoesNotExist

    def free_idle(self, *, now: datetime) -> None:
        """Free the slots of executions that have ended, are slow, or were not started within MISSING_FOR.

        The event of an end may be lost, and an intake may die before the start. The other groups of the feed would then
        wait until the sweep."""
        for held in self.slots.holdings():
            try:
                found = self.states.describe_execution(executionArn=held.holder)
                is_slow = held.key.endswith(TOGETHER) and found["startDate"] + SLOW < now
                if is_slow or found["status"] in ENDED:
                    self.slots.free(held.holder, likely=held.key.removeprefix(PREFIX))
            except self._not_started:
                if held.missing_since is None:
                    self.slots.mark_missing(held, as_of=now)
                elif held.missing_since + MISSING_FOR <= now:
                    self.slots.free_missing(held)

    def start(self, group: Sequence[Arrival]) -> None:
        """Start one execution for all drops of the group. A drop that is claimed already keeps the one that it has.

        Raises ConflictError if every slot is taken. Also for drops to score while no model is live: their execution
        would hold a slot until the first release. The function `cleanup` frees a slot when its execution ends."""
        wanted = start_of(group, self._names)
        if wanted.machine == "score" and self._room.pointers.champion() is None:
            raise ConflictError(f"{self._names.machine(wanted.machine)}: expected a live model, there is none yet")
        # The order is slot, claims, execution. If the function dies after the first, the sweep frees the slot. If it
        # dies after the second, the next delivery of any message finds the claims and starts this very execution. No
        # claim is ever taken over.
        with self._slot(wanted):
            is_new = self.claims.take(wanted, [each.drop_id for each in group], now=datetime.now(UTC))
            if is_new:
                self.run(wanted)
        if is_new:
            return
        # Some drop is claimed already. Either this very group was claimed before, even if single claims are gone.
        known = self.claims.group(wanted.name)
        if not (known and known.pool == wanted.pool):  # a drop of a group that failed has a run of its own, in another
            self.slots.free(self._names.execution_arn(wanted.machine, wanted.name), likely=wanted.pool)
        if known:
            self._begin(known)
            return
        # Or drops of it belong to other executions: these are started, if they have not been; the rest is a new group.
        found = {each.drop_id: self.claims.execution_of(each.drop_id) for each in group}
        for name in {name for name in found.values() if name}:
            if other := self.claims.group(name):
                self._begin(other)
            else:
                self._room.logger.info("known", extra={"execution": name})
        rest = [each for each in group if not found[each.drop_id]]
        if len(rest) == len(group):
            raise ConflictError(f"{wanted.name}: expected the claim that was in the way, it was deleted since")
        if rest:
            self.start(rest)

    def redo(self, run_name: str) -> None:
        """Start an execution of its own for each drop of the failed execution, if it had several drops.

        A repeated call starts none twice. Raises ConflictError if every slot is taken: the next delivery then finds the
        executions that were started."""
        group = self.claims.group(run_name)
        for each in one_by_one(group) if group else ():
            self.claims.take_apart(each, of=run_name, now=datetime.now(UTC))
            self._begin(each)

    def _begin(self, wanted: Start) -> None:
        with self._slot(wanted):
            self.run(wanted)

    @contextmanager
    def _slot(self, wanted: Start) -> Iterator[None]:
        """A slot for the execution. It is freed if the block fails, unless the execution may run all the same.

        In that case the next delivery finds the execution running, or the sweep finds that there is none. Raises
        ConflictError if every slot is taken."""
        holder = self._names.execution_arn(wanted.machine, wanted.name)
        limit = self._room.settings.slots_together if wanted.pool.endswith(TOGETHER) else self._room.settings.slots
        if not self.slots.take(wanted.pool, holder=holder, limit=limit):
            raise ConflictError(f"{wanted.pool}: expected a free slot of {limit}, all are taken")
        try:
            yield
        except Exception as error:
            if not (is_answer_lost(error) or self._may_run(holder)):
                self.slots.free(holder, likely=wanted.pool)
            raise

    def _may_run(self, holder: str) -> bool:
        """Whether the execution runs, or nobody can say. An earlier delivery may have started it."""
        try:
            return self._is_running(holder)
        except self._not_started:
            return False
        except Exception:
            self._room.logger.exception("keeps its slot", extra={"execution": holder})
            return True

    def run(self, wanted: Start) -> None:
        """Start the execution, once. If it was started before, it goes on, or it has ended and its slot is freed."""
        holder = self._names.execution_arn(wanted.machine, wanted.name)
        try:
            self.states.start_execution(
                stateMachineArn=self._names.machine_arn(wanted.machine), name=wanted.name, input=wanted.input
            )
        except self.states.exceptions.ExecutionAlreadyExists:
            # If it has ended, `cleanup` has run already and will not free the slot that was taken now.
            if not self._is_running(holder):
                self.slots.free(holder, likely=wanted.pool)
                self._room.logger.info("known", extra={"execution": wanted.name})
                return
        self._room.logger.info("started", extra={"execution": wanted.name})

    def _is_running(self, execution_arn: str) -> bool:
        """Whether the execution still runs, or will be redriven. If it has ended, its slot must be freed again."""
        return self.states.describe_execution(executionArn=execution_arn)["status"] in ("RUNNING", "PENDING_REDRIVE")


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
