"""Drops with their typed rows: each in a folder of its own, all of them committed to their table by one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import boto3
from pyiceberg.table import Table as IcebergTable

from millrace.consumers.catalogue import hearing
from millrace.contract.future import up_to
from millrace.contract.schema import Feed
from millrace.datasets.bulk.result import rows_of_job
from millrace.datasets.commits import Commit, NewDrop, commit_together
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.new_rows import NewRows, RowsInFile, Source
from millrace.datasets.notes import ARRIVAL, LABELS, REPAIRS, SENT_BY, UNPARSABLE
from millrace.datasets.quarantine import QuarantineFile, object_key, together
from millrace.datasets.tables import Lake
from millrace.decisions.portion import ConsumerQueues
from millrace.functions.room import WorkloadRoom
from millrace.functions.validation.first_labels import FirstLabels
from millrace.functions.validation.holding import HeldJudge
from millrace.functions.validation.labels import JudgedDrop
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import Committed, CommittedDrops, IngestState, ParsedDrop, Staging, starts_first
from millrace.names import WorkloadNames
from millrace.settings.drop import ValidationSettings
from millrace.state.reviews import ReviewQueue
from millrace.state.turns import Turns
from millrace.tasks import catalogue as tasks


@dataclass(frozen=True, kw_only=True)
class FetchedDrop:
    """`s3` is boto3's client."""

    drop: ParsedDrop
    feed: Feed
    folder: Path
    s3: Any
    names: WorkloadNames

    @classmethod
    def fetch(cls, s3: Any, names: WorkloadNames, drop: ParsedDrop, feed: Feed, folder: Path) -> FetchedDrop:
        """The drop with its typed rows, fetched into a folder below `folder`."""
        fetched = cls(drop=drop, feed=feed, folder=folder / drop.drop_id, s3=s3, names=names)
        fetched.folder.mkdir()
        if not drop.bulk:
            s3.download_file(fetched.bucket, fetched.staging.rows("parsed"), str(fetched.parsed))
        return fetched

    @property
    def bucket(self) -> str:
        return self.names.platform.bucket("lake")

    @property
    def staging(self) -> Staging:
        return Staging(names=self.names, of=self.drop.drop_id)

    @property
    def parsed(self) -> Path:
        return self.folder / "parsed"

    def quarantine_staged(self, part: Literal["unparsable", "refused"], rows: int) -> None:
        """Put rows that are refused already into the quarantine: those that ingestion could not parse, for example.

        It is not called for a drop whose bytes the table has already: its rows are in the quarantine."""
        if rows:
            staged = {"Bucket": self.bucket, "Key": self.staging.rows(part)}
            self.s3.copy(staged, self.bucket, self._quarantine_key(part))

    @contextmanager
    def quarantine(self) -> Iterator[QuarantineFile]:
        """A quarantine file for the rows that are refused here; it is uploaded at the end of the block.

        There is one object for each drop, so a further attempt writes it anew."""
        path, drop = self.folder / "refused", self.drop
        with QuarantineFile(path, drop_id=drop.drop_id, source=drop.source, as_of=drop.as_of) as refused:
            yield refused
        if refused.rows:
            self.s3.upload_file(str(path), self.bucket, self._quarantine_key("refused"))

    def _quarantine_key(self, part: str) -> str:
        return object_key(self.names.workload, self.feed, as_of=self.drop.as_of, drop_id=self.drop.drop_id, part=part)


class Commits:
    """The commits of one workload. `s3` is boto3's client."""

    def __init__(self, room: WorkloadRoom[ValidationSettings], lake: Lake, s3: Any) -> None:
        self._room, self._lake, self._turns = room, lake, Turns(room.state)
        self._known = KnownRows(lake, room.workload, room.dynamodb) if room.workload.known_keys else None
        hear = hearing(room.workload.consumers, room.settings.stage, room.workload.policy)
        self._consumers = ConsumerQueues.of(room.names, hear, boto3.client)
        self._judge = HeldJudge(lake, room.workload, s3, room.state)
        policy = room.workload.policy
        self._first = FirstLabels(room, lake, s3, policy) if policy and policy.labels_before_model else None

    def commit(self, drops: Sequence[FetchedDrop], call: StepInput[IngestState]) -> CommittedDrops:
        """What became of each drop: all good rows come into the table by one commit.

        The rows of bytes that the table has already are not added, nor those of a drop that is held for a person."""
        detail = call.state.detail
        named = {each.drop_id or call.run: each for each in detail.objects}
        judged = self._judge.judge(
            detail.table, [(each.drop, named.get(each.drop.drop_id), each.parsed) for each in drops]
        )
        is_held = {drop_id for drop_id, one in judged.items() if one.because}
        taken = [each for each in drops if each.drop.drop_id not in is_held]
        # A group of small drops comes with others of its kind, and is judged in seconds. A drop that goes alone may
        # take minutes: it would hold up the groups for no gain, since its attempts after the first are short.
        turn = partial(self._turns.turn, detail.table, holder=call.run) if len(drops) > 1 else nullcontext
        new = [self._new_drop(each, detail.table, judged.get(each.drop.drop_id)) for each in taken]
        done = commit_together(self._lake, detail.table, new, turn=turn) if new else []
        if self._known:
            self._known.refresh()
        if self._consumers.consumers and detail.table == "labels":
            self._pass_on(taken)
        became = {each.drop.drop_id: one for each, one in zip(taken, done, strict=True)}
        has_champion = self._room.pointers.champion() is not None
        if self._first and not has_champion:
            self._first.ask(now=call.state.as_of)
        counts = detail.table == ("labels" if self._first else "rows")
        first_rows = self._room.workload.training.first_rows if counts else 0
        shared = {
            "feed": detail.feed,
            "table": self._room.names.table(detail.table),
            "has_champion": has_champion,
            "first_rows": first_rows,
            "owner": self._lake.contract_of(detail.table).owner,
        }
        return CommittedDrops(
            drops=tuple(
                Committed(
                    drop_id=each.drop.drop_id,
                    source=each.drop.source,
                    source_digest=each.drop.source_digest,
                    **shared,
                    **_outcome(
                        each,
                        became.get(each.drop.drop_id),
                        judged.get(each.drop.drop_id),
                        first_rows=0 if has_champion else first_rows,
                    ),
                )
                for each in drops
            )
        )

    def _pass_on(self, drops: Sequence[FetchedDrop]) -> None:
        """Send what people have decided, whose labels these drops are, to the consumers: nobody had acted on it.

        A repeated call sends it again, by the same ids."""
        queue, spec = ReviewQueue(self._room.dynamodb, self._room.names), self._room.workload.prediction
        items = [item for each in drops for item in queue.dropped(each.drop.source_key) if item.action == "review"]
        self._consumers.send_answered(items, spec, tasks.declare(spec, self._lake.contract.label))

    def _new_drop(self, fetched: FetchedDrop, table: str, judged: JudgedDrop | None) -> NewDrop:
        """The drop for `commit_together`; its rows are judged when the table has said which keys it holds."""
        drop = fetched.drop
        source = Source(
            uri=drop.source,
            key=drop.source_key,
            digest=drop.source_digest,
            written_by=drop.drop_id,
            sequencer=drop.sequencer,
            arrived=drop.as_of,
        )
        contract = up_to(self._lake.contract_of(table), self._room.workload.prediction, arrived=drop.as_of)
        new = RowsInFile(
            self._lake, table, contract, parsed=fetched.parsed, source=source, quarantine=fetched.quarantine
        )

        # Called only if the rows count as new: then the unparsable rows belong into the quarantine, too.
        def write(iceberg: IcebergTable) -> NewRows:
            rows = (
                rows_of_job(fetched.s3, fetched.staging.result, self._lake, iceberg)
                if drop.bulk
                else new.write(iceberg)
            )
            fetched.quarantine_staged("unparsable", drop.unparsable)
            fetched.quarantine_staged("refused", sum(rows.quarantined.values()) if drop.bulk else 0)
            return rows

        said = {UNPARSABLE: str(drop.unparsable or ""), SENT_BY: drop.by, REPAIRS: drop.repairs}
        kept = {name: text for name, text in said.items() if text} | (
            {LABELS: judged.batch.note()} if judged and judged.batch else {}
        )
        return NewDrop(source=source, write=write, notes={ARRIVAL: drop.as_of.isoformat(), **kept})


def _outcome(
    fetched: FetchedDrop, done: Commit | None, judged: JudgedDrop | None, *, first_rows: int
) -> dict[str, Any]:
    """What became of the rows: they were compared with the table, or wait for a person (no `done`).

    A first training starts at `first_rows` of the table; 0: none does."""
    drop = fetched.drop
    if done is None:
        assert judged
        return {
            "held": judged.held,
            "held_for": judged.held_for,
            "sent_by": drop.by or "nobody who is named",
        }
    # Rows that ingestion could not parse count with their drop, but only if this very call has judged it: not if the
    # table has its bytes, or a later version of its object.
    is_judged = done.duplicate_of is None and done.superseded_by is None
    return {
        "snapshot_id": str(done.snapshot_id),
        "rows_accepted": done.rows_added,
        "rows_quarantined": done.rows_quarantined + (drop.unparsable if is_judged else 0),
        "reasons": together(done.reasons, drop.reasons if is_judged else {}),
        "rows_replaced": done.rows_replaced,
        "rows_total": done.rows_total,
        "starts_training": starts_first(
            first_rows, before=done.rows_total - done.rows_added + done.rows_replaced, after=done.rows_total
        ),
        "duplicate": done.duplicate_of is not None,
        "duplicate_of": done.duplicate_of or "",
        "refused_before": done.refused_before,
        "superseded_by": done.superseded_by or "",
        "unanswered": judged.batch.unanswered if judged and judged.batch else 0,
    }
