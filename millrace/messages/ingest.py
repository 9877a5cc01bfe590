"""Drops on their way into a table or to a model: the messages of the steps, and where their pieces are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import Feed
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult
from millrace.names import WorkloadNames


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


def bytes_in_json(text: str) -> int:
    """Of the text as a state holds it: a letter that is not of ASCII takes six or twelve."""
    return len(json.dumps(text)) - len('""')


MOST_WORDS, MOST_JSON = 500, 2000
"""Of a reason in words: characters, and bytes as JSON writes them. A header may be longer than all of a state."""


def cut(text: str) -> str:
    """The beginning of the text that an answer has room for."""
    ends = accumulate(map(bytes_in_json, text[:MOST_WORDS]))
    return text[: sum(end <= MOST_JSON for end in ends)]


class DropGroup(Message):
    """The objects that one execution works on, as the intake function names them."""

    feed: Feed
    objects: Annotated[tuple[DropObject, ...], Field(max_length=MOST_TOGETHER)] = ()
    """One, or several small ones; the feed `scoring` may name none and then means its newest object."""

    @model_validator(mode="after")
    def _apart(self) -> DropGroup:
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
    reasons: RowsByReason = Field(default_factory=dict)
    """Of the unparsable rows."""


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
    reasons: RowsByReason = Field(default_factory=dict)
    """Of the quarantined rows; empty in answers that do not say."""
    rows_replaced: int = 0
    """Of an earlier version of the same object, which left the table for these."""
    rows_total: int
    source: str
    source_digest: str
    duplicate: bool
    """The table held these very bytes before: no row was added."""
    duplicate_of: str = ""
    """The source that brought them, where it is a duplicate; empty in answers that do not say."""
    refused_before: int = 0
    """How many rows of that source were refused when it came."""
    withdrawn: bool = False
    """The rows of that source were withdrawn since: the table is without them."""
    superseded_by: str = ""
    """The later version of the same object that came before this one, which therefore added no row."""
    has_champion: bool
    first_rows: int = 0
    """Rows from which on the first training starts by itself; 0 in answers that do not say."""

    @property
    def repeats(self) -> str:
        """The name of the object that brought the same bytes, without its folder; empty where this one is new."""
        return self.duplicate_of.rpartition("/")[2].partition("?")[0]

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

    detail: DropGroup
    ingestion: StepResult[Ingested] | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_drop(cls, given: Any) -> Any:
        """A person who starts the machine by hand learns what it wants."""
        missing = [name for name in INPUT if isinstance(given, Mapping) and name not in given]
        if missing:
            raise ValueError(
                f"expected cause, as_of and detail with {', '.join(DropGroup.model_fields)}, as the intake gives them, "
                f"got none of {missing}: drop a file instead"
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
    of: str
    """The drop's id, or the run's name."""

    @property
    def prefix(self) -> str:
        return f"{self.names.workload}/staging/{self.of}/"

    @property
    def parsed(self) -> str:
        """Typed rows, before the contract's rules."""
        return f"{self.prefix}parsed.parquet"

    @property
    def unparsable(self) -> str:
        """The rows that could not be parsed, as a file of the quarantine: they go there once the drop is judged."""
        return f"{self.prefix}unparsable.parquet"

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
