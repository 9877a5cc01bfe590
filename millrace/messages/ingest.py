"""Drops on their way into a table or to a model: S3's event, the messages of the steps, where its pieces are.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html (the event, as EventBridge delivers it)"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from millrace.contract.reasons import Reason
from millrace.contract.schema import FEEDS, Feed
from millrace.errors import NoDropError
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult
from millrace.names import MACHINE_OF_FEED, WorkloadNames, drop_id_of


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


class _Event(Message):
    id: str
    time: datetime
    source: Literal["aws.s3"]
    kind: Literal["Object Created"] = Field(alias="detail-type")
    detail: _Detail


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One version of one object that came, as S3's event tells."""

    machine: Literal["ingest", "score"]
    feed: Feed
    drop_id: str
    size: int
    """Bytes."""
    cause: str
    """The event's id."""
    as_of: str
    """The event's time, ISO 8601."""
    object: Mapping[str, Any]
    """As the input of the execution names it."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """One execution to be started."""

    machine: Literal["ingest", "score"]
    name: str
    """The drop's id; of several drops the SHA-256 of their ids."""
    input: str
    """JSON."""


def arrival_of(body: str, names: WorkloadNames) -> Arrival:
    """What the message tells; raises NoDropError that says what was expected and what came."""
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
        },
    )


def start_of(arrivals: Sequence[Arrival], names: WorkloadNames) -> Start:
    """One execution for drops of one feed, at least one; it counts the arrival of the last one as now.

    EventBridge delivers the same event with id and time unchanged, so a redelivery of a lone drop has the same
    bytes. Another event about the same version has the same name only."""
    last = max(arrivals, key=lambda each: each.as_of)
    objects = [dict(each.object) for each in arrivals]
    detail = {"workload": names.workload, "feed": last.feed, "objects": objects}
    document = {"cause": last.cause, "as_of": last.as_of, "detail": detail}
    ids = [each.drop_id for each in arrivals]
    name = ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return Start(machine=last.machine, name=name, input=json.dumps(document, sort_keys=True))


def _feed(bucket: str, key: str, names: WorkloadNames) -> Feed:
    landing = names.platform.bucket("landing")
    workload, _, rest = key.partition("/")
    folder, _, name = rest.partition("/")
    feed = next((one for one in FEEDS if one == folder), None)
    if bucket != landing or workload != names.workload or feed is None or not name:
        expected = f"s3://{landing}/{names.workload}/<{'|'.join(MACHINE_OF_FEED)}>/<name>"
        raise NoDropError(f"detail.object.key: expected {expected}, came s3://{bucket}/{key}")
    return feed


class DropObject(Message):
    """One version of one object in the landing bucket."""

    bucket: str = ""
    """The landing bucket where none is named."""
    key: str
    version_id: str = ""
    """The newest where none is named."""
    sequencer: str = ""
    """S3's place of this version among those of the key; empty where a person starts the execution."""
    drop_id: str = ""
    """Names what the drop leaves in the lake; the execution's name where a person starts it."""
    as_of: Moment | None = None
    """When it came; the execution's where none is given."""


MOST_TOGETHER = 25
"""Drops of one execution: with the answers to each, its state stays below Step Functions' 256 KiB, since the intake
gives those with a long name one of their own."""


class Drop(Message):
    """The objects that one execution works on, as the intake function names them."""

    feed: Feed
    objects: Annotated[tuple[DropObject, ...], Field(max_length=MOST_TOGETHER)] = ()
    """One, or several small ones; the feed `scoring` may name none and then means its newest object."""

    @model_validator(mode="after")
    def _apart(self) -> Drop:
        """What drops leave in the lake lies by their ids."""
        ids = {each.drop_id for each in self.objects}
        if len(self.objects) > 1 and ("" in ids or len(ids) < len(self.objects)):
            raise ValueError(f"objects: expected a drop_id of its own for each of several, got {sorted(ids)}")
        return self

    @property
    def table(self) -> Literal["rows", "labels"]:
        """Where the rows of the feed `training` or `labels` go."""
        return "rows" if self.feed == "training" else "labels"


@dataclass(frozen=True, kw_only=True)
class DropInWork:
    """One drop of an execution."""

    drop_id: str
    as_of: datetime
    feed: Feed
    object: DropObject | None
    """None: the newest of the feed."""


class ParsedDrop(Message):
    """A drop that is typed rows now."""

    drop_id: str
    as_of: Moment
    source: str
    """The object: URI and version."""
    source_key: str
    """Its key in the landing bucket."""
    source_digest: str
    """SHA-256 of its bytes."""
    sequencer: str
    rows: int
    unparsable: int


class RejectedDrop(Message):
    """A drop that cannot become rows at all; it is quarantined whole. `drop.rejected` carries it."""

    drop_id: str
    feed: Feed
    source: str
    """The object: URI and version."""
    source_digest: str
    """SHA-256 of its bytes; empty where nothing was read."""
    reason: Reason
    expected: str
    got: str
    """Both in words."""


class Ingested(Message):
    """The answer of the ingestion function."""

    outcome: Literal["parsed", "rejected", "held"]
    """Held: drops to score while no model is live, nothing was read. Rejected: all of them."""
    parsed: tuple[ParsedDrop, ...] = ()
    rejected: tuple[RejectedDrop, ...] = ()


class Committed(Message):
    """A drop of the feed `training` or `labels` that was validated; `dataset.committed` carries it."""

    drop_id: str
    feed: str
    table: str
    snapshot_id: str
    """As text: JSON's numbers are doubles to many readers."""
    rows_accepted: int
    rows_quarantined: int
    rows_total: int
    source: str
    source_digest: str
    duplicate: bool
    """The table held these very bytes before: no row was added."""
    alias_of: str
    """The source that brought them, where it is a duplicate."""
    withdrawn: bool = False
    """The rows of that source were withdrawn since: the table is without them."""
    superseded_by: str = ""
    """The later version of the same object that came before this one, which therefore added no row."""
    has_champion: bool
    first_rows: int = 0
    """Rows from which on the first training starts by itself; 0 in answers that do not say."""

    @property
    def rows_missing(self) -> int:
        """Rows until the first training starts by itself; 0 where it has, and for what adds no rows to train on."""
        is_waited_for = self.feed == "training" and not self.has_champion
        return max(0, self.first_rows - self.rows_total) if is_waited_for else 0


class CommittedDrops(Message):
    """The answer of the validation function for `training` and `labels`: one commit."""

    drops: tuple[Committed, ...]


INPUT = ("cause", "as_of", "detail")
"""Of an ingest execution, as the intake gives it."""


class IngestState(ExecutionInput):
    """The state of an execution when it calls the ingestion or the validation function."""

    detail: Drop
    ingestion: StepResult[Ingested] | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_drop(cls, given: Any) -> Any:
        """A person who starts the machine by hand learns what it wants."""
        missing = [name for name in INPUT if isinstance(given, Mapping) and name not in given]
        if missing:
            raise ValueError(
                f"expected cause, as_of and detail with {', '.join(Drop.model_fields)}, as the intake gives them, got "
                f"none of {missing}: drop a file instead"
            )
        return given

    @property
    def ingested(self) -> Ingested:
        """Raises ValueError before the ingestion function has answered."""
        if self.ingestion is None:
            raise ValueError("state.ingestion: expected the answer of the ingestion function, got nothing")
        return self.ingestion.answer

    def drops(self, run: str) -> tuple[DropInWork, ...]:
        """The drops that the execution of this name works on."""
        return tuple(
            DropInWork(
                drop_id=(each.drop_id if each else "") or run,
                as_of=(each.as_of if each else None) or self.as_of,
                feed=self.detail.feed,
                object=each,
            )
            for each in self.detail.objects or (None,)
        )


@dataclass(frozen=True, kw_only=True)
class Staging:
    """Temporary keys in the lake: of a drop, and of the execution whose shards are of all its drops."""

    names: WorkloadNames
    run: str
    """The drop's id, or the execution's name."""

    @property
    def prefix(self) -> str:
        return f"{self.names.workload}/staging/{self.run}/"

    @property
    def parsed(self) -> str:
        """Typed rows, before the contract's rules."""
        return f"{self.prefix}parsed.parquet"

    @property
    def accepted(self) -> str:
        """Rows to score, with all columns of the contract."""
        return f"{self.prefix}accepted.parquet"

    @property
    def shards(self) -> str:
        return f"{self.prefix}shards/"

    @property
    def transformed(self) -> str:
        return f"{self.prefix}transformed/"

    def shard(self, number: int) -> str:
        """The key of one shard; five digits, so that their names sort as they were cut."""
        return f"{self.shards}{number:05d}.arrow"

    def answers(self, number: int) -> str:
        """Where batch transform puts the answers to one shard."""
        return f"{self.transformed}{number:05d}.arrow.out"

    def uri(self, key: str) -> str:
        return f"s3://{self.names.platform.bucket('lake')}/{key}"
