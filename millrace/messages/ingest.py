"""The messages of the machines `ingest` and `score` about drops, and the keys of a drop's temporary files.

A drop is one version of one object in the landing bucket. `ingest` commits its rows to a table. `score` has a model
answer them, and its further messages are in `millrace.messages.score`. Both machines begin like this:

    intake      makes the input, with a DropGroup as its detail, and starts the execution
    ingestion   IngestState → Ingested: bytes become typed rows, or the whole drop is rejected
    validation  IngestState → CommittedDrops in `ingest`, Sharded in `score`
"""

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
from millrace.messages.bulk import RESULT
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult
from millrace.names import WorkloadNames


class DropObject(Message):
    """One version of one object in the landing bucket.

    A person who starts an execution may give the key alone; the intake fills all fields."""

    bucket: str = ""
    """Empty: the landing bucket."""
    key: str
    version_id: str = ""
    """Empty: the newest version."""
    sequencer: str = ""
    """S3's order of the versions of one key; `is_later` of `millrace.datasets.notes` compares two. Empty: not known."""
    drop_id: str = ""
    """The id that names the drop's files in the lake. Empty: the execution's name is used."""
    as_of: Moment | None = None
    """When the object came. None: the `as_of` of the execution is used."""
    requester: str = ""
    """The account that has put it, and from where, by S3's event: `account 123456789012 from 10.0.0.7`."""


MOST_TOGETHER = 25
"""The most drops in one execution. The state holds an answer for each drop and must stay below Step Functions' 256 KiB.

So the intake gives a drop with a long key or version an execution of its own."""


SMALL_BYTES = 2**20
"""The most bytes of a drop that goes together with others, and of a file that comes with its list."""
LISTED = ".files"
"""How a folder ends whose small files are no drops: the list `<folder>.json` beside it is the drop of all of them."""


class ListedFile(Message):
    key: str = Field(alias="Key")
    size: int = Field(alias="Size")


class FileList(Message):
    """Files in a folder, by their names, as S3 lists them: {"Contents": [{"Key": "…/part-0", "Size": 1488, …}, …]}"""

    files: tuple[ListedFile, ...] = Field(alias="Contents")


def bytes_in_json(text: str) -> int:
    """The number of bytes of the text as JSON. A character beyond ASCII is escaped and takes six or twelve bytes."""
    return len(json.dumps(text)) - len('""')


MOST_WORDS, MOST_JSON = 500, 2000
"""The most characters, and the most bytes in JSON, of a reason in words.

A reason may quote the header of a file, and a header may be longer than the whole state may be."""


def cut(text: str) -> str:
    """The beginning of the text, as long as MOST_WORDS and MOST_JSON allow."""
    # `ends[i]` is the number of bytes up to and with character i. It only rises, so the number of ends within the limit
    # is the number of characters to keep.
    ends = accumulate(map(bytes_in_json, text[:MOST_WORDS]))
    return text[: sum(end <= MOST_JSON for end in ends)]


class DropGroup(Message):
    """The objects that one execution works on: `detail` of its input, as the intake function writes it.

    {"feed": "training", "objects": [{"key": "electricity/training/1996-05.parquet", "drop_id": "5d7c39d7b8…", …}]}"""

    feed: Feed
    objects: Annotated[tuple[DropObject, ...], Field(max_length=MOST_TOGETHER)] = ()
    """One object, or several small ones. () is allowed for the feed `scoring` and means its newest object."""

    @model_validator(mode="after")
    def _apart(self) -> DropGroup:
        """Several drops need different ids: the id is a part of the keys of a drop's files in the lake."""
        ids = {each.drop_id for each in self.objects}
        if len(self.objects) > 1 and ("" in ids or len(ids) < len(self.objects)):
            raise ValueError(f"objects: expected a drop_id of its own for each of several, got {sorted(ids)}")
        return self

    @property
    def table(self) -> Literal["rows", "labels"]:
        """The table that the feed's rows go to; for the feeds `training` and `labels` only."""
        return "rows" if self.feed == "training" else "labels"


@dataclass(frozen=True, kw_only=True)
class DropInWork:
    """One drop of an execution, with the defaults of `DropObject` filled in."""

    drop_id: str
    as_of: datetime
    feed: Feed
    object: DropObject | None
    """None: the newest object of the feed."""


UNLOGGED = {"source", "source_key", "by", "got", "duplicate_of", "superseded_by", "sent_by"}


class OfDrop(Message):
    """What is said of one drop begins with these."""

    drop_id: str
    source: str
    """The URI of the object with its version: `s3://<bucket>/<key>?versionId=<version>`."""
    source_digest: str
    """SHA-256 of the object's bytes. Empty if nothing was read."""

    def logged(self) -> dict[str, Any]:
        """All but what may name a person, since a log forgets nobody; `drop_id` leads to the rest."""
        return self.model_dump(exclude=UNLOGGED)


class ParsedDrop(OfDrop):
    """A drop whose rows are parsed.

    {"drop_id": "5b5c7a4e1f", "as_of": "1997-01-01T08:00:12Z", "source_key": "electricity/scoring/week.csv",
     "source": "s3://…/electricity/scoring/week.csv?versionId=…", "source_digest": "9f86…", "sequencer": "0055AE…",
     "rows": 101, "unparsable": 2, "reasons": {"type": 2}}"""

    as_of: Moment
    """When the object came."""
    source_key: str
    """The object's key in the landing bucket."""
    sequencer: str
    """As `DropObject.sequencer`."""
    by: str = ""
    """Who has dropped it: who the object's metadata `by` says it was, which the sender writes, and what S3's event
    knows of him: `ann, account 123456789012 from 10.0.0.7`. EventBridge's event has no user."""
    repairs: str = ""
    """The id of the drop whose refused rows it mends, by the object's metadata `repairs`; empty for any other drop."""
    rows: int
    """Rows that could be parsed. The contract's rules have not judged them yet."""
    unparsable: int
    """Rows that could not be parsed. They go to the quarantine."""
    reasons: RowsByReason = Field(default_factory=dict)
    """How many unparsable rows have which reason."""
    bulk: bool = False
    """Whether a job of Spark has judged the rows: its result is in the drop's staging (`millrace.messages.bulk`)."""


class RejectedDrop(OfDrop):
    """A drop that cannot become rows at all and is quarantined whole. The event `drop.rejected` carries this message.

    {"drop_id": "5b5c7a4e1f", "feed": "training", "source": "s3://…?versionId=…", "source_digest": "9f86…",
     "reason": "too_large", "expected": "…", "got": "…"}"""

    feed: Feed
    owner: str = ""
    """Who answers for what comes in by the feed, as the contract says."""
    reason: Reason
    expected: str
    """What was expected, in words."""
    got: str
    """What came instead, in words."""


class Ingested(Message):
    """The answer of the ingestion function.

    {"outcome": "parsed", "parsed": [{"drop_id": "5b5c7a4e1f", "rows": 101, …}], "rejected": []}"""

    outcome: Literal["parsed", "rejected", "held", "bulk"]
    """`parsed`: at least one drop became rows. `rejected`: no drop did.

    `held`: nothing was read, since the drops are to be scored and no model is live. `bulk`: the drop is so large that
    a job of Spark reads it by the `plan`; then ingestion is called again."""
    plan: str = ""
    """The URI of the plan; only of the outcome `bulk`."""
    parsed: tuple[ParsedDrop, ...] = ()
    rejected: tuple[RejectedDrop, ...] = ()


class Committed(OfDrop):
    """A drop of the feed `training` or `labels` that was validated. The event `dataset.committed` carries this message.

    {"drop_id": "5d7c39d7b8804f07", "feed": "training", "table": "electricity_rows", "snapshot_id": "4821940093718391",
     "rows_accepted": 1488, "rows_quarantined": 0, "reasons": {}, "rows_replaced": 0, "rows_total": 11424,
     "source": "s3://…/electricity/training/1996-12.parquet?versionId=…", "source_digest": "5e0a…", "duplicate": false,
     "duplicate_of": "", "refused_before": 0, "superseded_by": "", "has_champion": false,
     "first_rows": 11000, "starts_training": true}

    Fields with a default may be missing in answers that older code has written."""

    feed: str
    table: str
    snapshot_id: str = ""
    """The Iceberg snapshot, as text: many readers of JSON read a number as a double, which would lose digits."""
    rows_accepted: int = 0
    rows_quarantined: int = 0
    reasons: RowsByReason = Field(default_factory=dict)
    """How many quarantined rows have which reason."""
    rows_replaced: int = 0
    """Rows of an earlier version of the same object. They left the table when these rows came."""
    rows_total: int = 0
    """Rows in the table after the commit."""
    duplicate: bool = False
    """Whether an earlier drop brought the very same bytes. Then no row was added."""
    duplicate_of: str = ""
    """The source of that earlier drop. Empty if this drop is no duplicate."""
    refused_before: int = 0
    """How many rows of the earlier drop were refused when it came."""
    superseded_by: str = ""
    """The source of a later version of the same object, if that version came first. Then this drop added no row."""
    held: Literal["held", "again", "refused", ""] = ""
    """`held`: nothing of it is in the table until a person accepts it. `again`: for the same reason as when it was held
    before, so that nobody is told again. `refused`: a person has refused it."""
    held_for: str = ""
    """Why, in words."""
    sent_by: str = ""
    """As `ParsedDrop.by`; only of a drop that is held."""
    owner: str = ""
    """As `RejectedDrop.owner`."""
    unanswered: int = 0
    """Labels of it, probably, for which no decision and no earlier label is known; of one that is learnt."""
    has_champion: bool
    """Whether a version was live at the commit."""
    first_rows: int = 0
    """The number of rows of the table at which the first training starts by itself. 0: at none, or not known."""
    starts_training: bool = False
    """Whether a first training starts with this drop: see `starts_first`."""

    @property
    def repeats(self) -> str:
        """The file name of the object that brought the same bytes before. Empty if the bytes are new."""
        return self.duplicate_of.rpartition("/")[2].partition("?")[0]

    @property
    def rows_missing(self) -> int:
        """How many more rows the first training needs to start by itself.

        0 once a version is live, and for a feed that starts no training."""
        return 0 if self.has_champion else max(0, self.first_rows - self.rows_total)


AGAIN = 4
"""A first training that brought no live version starts again with each further one in AGAIN of the first rows."""


def starts_first(first_rows: int, *, before: int, after: int) -> bool:
    """Whether a first training starts now that there are `after` rows, where there were `before`; never for 0."""
    step = max(1, first_rows // AGAIN)
    return 0 < first_rows <= after and (before - first_rows) // step < (after - first_rows) // step


class CommittedDrops(Message):
    """The answer of the validation function for the feeds `training` and `labels`: one commit of all drops.

    {"drops": [{"drop_id": "5d7c39d7b8804f07", "table": "electricity_rows", "rows_accepted": 1488, …}]}"""

    drops: tuple[Committed, ...]


INPUT = ("cause", "as_of", "detail")
"""The fields that the input of an `ingest` execution must have; the intake gives them all."""


class IngestState(ExecutionInput):
    """The state of an execution when it calls the ingestion or the validation function.

    {"cause": "…", "as_of": "…", "detail": {"feed": "training", "objects": [{"key": "…"}]},
     "ingestion": {"answer": {"outcome": "parsed", …}}}"""

    detail: DropGroup
    ingestion: StepResult[Ingested] | None = None
    """None until the ingestion function has answered."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_drop(cls, given: Any) -> Any:
        """Raises ValueError if the input lacks a field of INPUT, as it may when a person starts the machine by hand."""
        missing = [name for name in INPUT if isinstance(given, Mapping) and name not in given]
        if missing:
            raise ValueError(
                f"expected cause, as_of and detail with {', '.join(DropGroup.model_fields)}, as the intake gives them, "
                f"got none of {missing}: drop a file instead"
            )
        return given

    @property
    def ingested(self) -> Ingested:
        """The answer of the ingestion function. Raises ValueError if it has not answered yet."""
        if self.ingestion is None:
            raise ValueError("state.ingestion: expected the answer of the ingestion function, got nothing")
        return self.ingestion.answer

    def drops(self, run: str) -> tuple[DropInWork, ...]:
        """The drops of the execution, whose name is `run`, with their defaults filled in."""
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
    """The keys of temporary files in the lake.

    A drop has files of its own. Shards and their answers belong to the run, for all its drops together:

        electricity/staging/<drop id>/parsed.parquet
        electricity/staging/<drop id>/unparsable.parquet
        electricity/staging/<drop id>/accepted.parquet
        electricity/staging/<run>/shards/00000.arrow
        electricity/staging/<run>/transformed/00000.arrow.out
    """

    names: WorkloadNames
    of: str
    """The drop's id or the run's name. A run with a single drop bears the drop's id as its name."""

    @property
    def prefix(self) -> str:
        return f"{self.names.workload}/staging/{self.of}/"

    def rows(self, what: Literal["parsed", "unparsable", "accepted", "refused"]) -> str:
        """The key of the drop's rows: `parsed` are typed, and the contract's rules have not judged them yet.

        Those that were refused are in the format of the quarantine, and are copied to it when the drop is judged;
        `accepted` are to be scored, with all columns of the contract."""
        return f"{self.prefix}{what}.parquet"

    @property
    def result(self) -> str:
        """The URI of what a job of Spark has made of the drop."""
        return self.uri(f"{self.prefix}{RESULT}")

    @property
    def shards(self) -> str:
        return f"{self.prefix}shards/"

    @property
    def transformed(self) -> str:
        return f"{self.prefix}transformed/"

    def shard(self, number: int) -> str:
        """The key of one shard. The number has five digits, so that the keys sort in the order of the shards."""
        return f"{self.shards}{number:05d}.arrow"

    def answers(self, number: int) -> str:
        """The key under which batch transform writes the answers to one shard."""
        return f"{self.transformed}{number:05d}.arrow.out"

    def uri(self, key: str) -> str:
        return f"s3://{self.names.platform.bucket('lake')}/{key}"
