"""Judges typed rows by the contract. Accepted rows are committed to their table or, to be scored, cut into shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from millrace.artefact.batch import CONTENT_TYPE
from millrace.aws.metrics import publish
from millrace.contract.future import up_to
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.contract.schema import Feed
from millrace.datasets.commits import Commit, NewDrop, commit_together
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.new_rows import NewRows, RowsInFile, Source
from millrace.datasets.notes import ARRIVAL, UNPARSABLE
from millrace.datasets.past import read_around, read_past
from millrace.datasets.quarantine import QuarantineFile, object_key, together
from millrace.datasets.tables import Lake
from millrace.errors import ConflictError
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import KnownAhead
from millrace.functions.validation.labels import JudgedBatch, LabelJudge
from millrace.functions.validation.plans import Plans
from millrace.functions.validation.shards import Shards, stage, stage_with_past
from millrace.messages.envelope import StepInput, handles
from millrace.messages.ingest import Committed, CommittedDrops, DropGroup, IngestState, ParsedDrop, Staging
from millrace.messages.score import Sharded, ShardedDrop
from millrace.operations.alarms import REFUSED_DROPS, REFUSED_ROWS, REFUSED_SHARE
from millrace.settings.validation import ValidationSettings
from millrace.state.held_labels import Contradictions, HeldLabels
from millrace.state.pointers import ReleasePointers
from millrace.state.refused_share import RefusedRows
from millrace.state.table import StateTable
from millrace.state.turns import Turns
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable

SETTINGS = ValidationSettings.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
PREDICTION = WORKLOAD.prediction
LAKE = Lake(NAMES, load_contract(SETTINGS.folder).read_by_models(PREDICTION.tensor_columns))
SCORING = LAKE.contract.table("scoring")
PLANS = Plans(
    ahead=KnownAhead.of(SCORING, PREDICTION),
    horizon_hours=PREDICTION.horizon_hours,
    read=partial(
        read_around, LAKE, SCORING.names, event_time=PREDICTION.event_time, reach_hours=PREDICTION.horizon_hours
    ),
)
HISTORIES = encoders.histories(encoders.declare(PREDICTION.features, SCORING))
BUCKET = NAMES.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")
DYNAMODB = boto3.client("dynamodb")
STATE = StateTable(DYNAMODB, NAMES)
KNOWN = KnownRows(LAKE, WORKLOAD, DYNAMODB) if WORKLOAD.known_keys else None
POINTERS, REFUSED, TURNS = ReleasePointers(STATE), RefusedRows(STATE), Turns(STATE)
JUDGE = LabelJudge(LAKE, WORKLOAD, S3, HeldLabels(STATE), Contradictions(STATE))


@LOGGER.inject_lambda_context
@handles(StepInput[IngestState])
def handler(call: StepInput[IngestState]) -> CommittedDrops | Sharded:
    """What was committed, or cut into shards. A repeated call returns the same."""
    with TemporaryDirectory() as folder:
        drops = [fetch(drop, call.state.detail.feed, Path(folder)) for drop in call.state.ingested.parsed]
        answer = shard(drops, call.run) if call.state.detail.feed == "scoring" else commit(drops, call)
    LOGGER.info("validated", extra=answer.model_dump())
    judge_refused(call.state.detail.feed, answer)
    return answer


def judge_refused(feed: Feed, answer: CommittedDrops | Sharded) -> None:
    """Compare the share of refused rows with the usual one. Publish the metrics that the alarms watch, if a row was
    refused."""
    accepted = [one.rows_accepted if isinstance(one, Committed) else one.accepted for one in answer.drops]
    refused = [one.rows_quarantined if isinstance(one, Committed) else one.quarantined for one in answer.drops]
    if feed == "labels":  # a label that is known already is no mistake of its sender
        known = [one.reasons.get(Reason.DUPLICATE_KEY, 0) for one in answer.drops]
        refused = [all_ - some for all_, some in zip(refused, known, strict=True)]
    rows = sum(accepted) + sum(refused)
    ratio = REFUSED.ratio(feed, rows=rows, refused=sum(refused), declared=WORKLOAD.monitors.refused_share)
    if not any(refused):
        return
    drops = sum(bad > 0 and not good for good, bad in zip(accepted, refused, strict=True))
    workload = SETTINGS.workload
    publish({REFUSED_SHARE: ratio, REFUSED_DROPS: drops, REFUSED_ROWS: sum(refused)}, Workload=workload)
    for reason, count in together(*(one.reasons for one in answer.drops)).items():
        publish({REFUSED_ROWS: count}, Workload=workload, Reason=reason)


@dataclass(frozen=True, kw_only=True)
class FetchedDrop:
    """A drop with its typed rows, in a folder of its own."""

    drop: ParsedDrop
    feed: Feed
    folder: Path

    @property
    def parsed(self) -> Path:
        return self.folder / "parsed"

    def quarantine_unparsable(self) -> None:
        """Put the rows that ingestion could not parse into the quarantine.

        It is not called for a drop whose bytes the table has already: its rows are in the quarantine."""
        if self.drop.unparsable:
            S3.download_file(BUCKET, Staging(names=NAMES, of=self.drop.drop_id).unparsable, str(self.folder / "raw"))
            S3.upload_file(str(self.folder / "raw"), BUCKET, self._quarantine_key("unparsable"))

    @contextmanager
    def quarantine(self) -> Iterator[QuarantineFile]:
        """A quarantine file for the rows that are refused here; it is uploaded at the end of the block.

        There is one object for each drop, so a further attempt writes it anew."""
        path, drop = self.folder / "refused", self.drop
        with QuarantineFile(path, drop_id=drop.drop_id, source=drop.source, as_of=drop.as_of) as refused:
            yield refused
        if refused.rows:
            S3.upload_file(str(path), BUCKET, self._quarantine_key("refused"))

    def _quarantine_key(self, part: str) -> str:
        return object_key(SETTINGS.workload, self.feed, as_of=self.drop.as_of, drop_id=self.drop.drop_id, part=part)


def fetch(drop: ParsedDrop, feed: Feed, folder: Path) -> FetchedDrop:
    """The drop with its typed rows, fetched into a folder below `folder`."""
    fetched = FetchedDrop(drop=drop, feed=feed, folder=folder / drop.drop_id)
    fetched.folder.mkdir()
    S3.download_file(BUCKET, Staging(names=NAMES, of=drop.drop_id).parsed, str(fetched.parsed))
    return fetched


def commit(drops: Sequence[FetchedDrop], call: StepInput[IngestState]) -> CommittedDrops:
    """What became of each drop: all good rows come into the table by one commit.

    The rows of bytes that the table has already are not added, nor labels that are held for a person."""
    detail = call.state.detail
    named = {each.drop_id or call.run: each for each in detail.objects}
    judged = (
        JUDGE.judge([(each.drop, named.get(each.drop.drop_id), each.parsed) for each in drops])
        if detail.table == "labels"
        else {}
    )
    is_held = {drop_id: bool(one.because) for drop_id, one in judged.items()}
    taken = [each for each in drops if not is_held.get(each.drop.drop_id)]
    # A group of small drops comes with others of its kind, and is judged in seconds. A drop that goes alone may take
    # minutes: it would hold up the groups for no gain, since its attempts after the first are short.
    turn = partial(TURNS.turn, detail.table, holder=call.run) if len(drops) > 1 else nullcontext
    new = [new_drop(each, detail.table, judged.get(each.drop.drop_id)) for each in taken]
    done = commit_together(LAKE, detail.table, new, turn=turn) if new else []
    if KNOWN and detail.table == "rows":
        KNOWN.refresh()
    has_champion = POINTERS.champion() is not None
    became = {each.drop.drop_id: one for each, one in zip(taken, done, strict=True)}
    return CommittedDrops(
        drops=tuple(
            committed(each, detail, became[each.drop.drop_id], judged.get(each.drop.drop_id), has_champion=has_champion)
            if each.drop.drop_id in became
            else held(each, detail, judged[each.drop.drop_id], has_champion=has_champion)
            for each in drops
        )
    )


def committed(
    fetched: FetchedDrop, detail: DropGroup, done: Commit, judged: JudgedBatch | None, *, has_champion: bool
) -> Committed:
    """What became of a drop whose rows were compared with the table."""
    # Rows that ingestion could not parse count with their drop, but only if this very call has judged it.
    drop = fetched.drop
    return Committed(
        **about(drop, detail, has_champion=has_champion),
        snapshot_id=str(done.snapshot_id),
        rows_accepted=done.rows_added,
        rows_quarantined=done.rows_quarantined + (drop.unparsable if is_judged(done) else 0),
        reasons=together(done.reasons, drop.reasons if is_judged(done) else {}),
        rows_replaced=done.rows_replaced,
        rows_total=done.rows_total,
        duplicate=done.duplicate_of is not None,
        duplicate_of=done.duplicate_of or "",
        refused_before=done.refused_before,
        superseded_by=done.superseded_by or "",
        unanswered=judged.batch.unanswered if judged else 0,
    )


def held(fetched: FetchedDrop, detail: DropGroup, judged: JudgedBatch, *, has_champion: bool) -> Committed:
    """What became of labels that wait for a person."""
    return Committed(
        **about(fetched.drop, detail, has_champion=has_champion),
        snapshot_id="",
        rows_accepted=0,
        rows_quarantined=0,
        rows_total=0,
        duplicate=False,
        held="again" if judged.is_told else "held",
        held_for=judged.held_for,
        sent_by=fetched.drop.by or "nobody who is named",
    )


def about(drop: ParsedDrop, detail: DropGroup, *, has_champion: bool) -> dict[str, Any]:
    """The fields of the answer that do not depend on what became of the drop."""
    return {
        "drop_id": drop.drop_id,
        "feed": detail.feed,
        "table": NAMES.table(detail.table),
        "source": drop.source,
        "source_digest": drop.source_digest,
        "has_champion": has_champion,
        "first_rows": WORKLOAD.training.first_rows,
    }


def is_judged(done: Commit) -> bool:
    """Whether the rows of the drop were judged: not if the table has its bytes, or a later version of its object."""
    return done.duplicate_of is None and done.superseded_by is None


def new_drop(fetched: FetchedDrop, table: str, judged: JudgedBatch | None) -> NewDrop:
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
    contract = up_to(LAKE.contract_of(table), PREDICTION, arrived=drop.as_of)
    new = RowsInFile(LAKE, table, contract, parsed=fetched.parsed, source=source, quarantine=fetched.quarantine)

    # Called only if the rows count as new: then the unparsable rows belong into the quarantine, too.
    def write(iceberg: IcebergTable) -> NewRows:
        fetched.quarantine_unparsable()
        return new.write(iceberg)

    unparsable = {UNPARSABLE: str(drop.unparsable)} if drop.unparsable else {}
    kept = judged.notes if judged else {}
    return NewDrop(source=source, write=write, notes={ARRIVAL: drop.as_of.isoformat(), **unparsable, **kept})


def shard(drops: Sequence[FetchedDrop], run: str) -> Sharded:
    """The shards that the champion will score, and where the accepted rows of each drop are for the delivery.

    Raises ConflictError if there is no champion any more."""
    champion = POINTERS.champion()
    if champion is None:
        raise ConflictError("expected the champion that the drops were read for, there is none now")
    # Shards are numbered through all drops of the run: each drop knows its first one and how many it has.
    staging, done = Staging(names=NAMES, of=run), list[ShardedDrop]()

    def put(number: int, body: bytes) -> None:
        S3.put_object(Bucket=BUCKET, Key=staging.shard(number), Body=body, ContentType=CONTENT_TYPE)

    shards = Shards(put, PREDICTION.inputs, limit=SETTINGS.shard_bytes)
    for each in drops:
        done.append(shard_drop(each, shards))
    return Sharded(
        drops=tuple(done),
        accepted=sum(each.accepted for each in done),
        shards_uri=staging.uri(staging.shards),
        transformed_uri=staging.uri(staging.transformed),
        model_name=champion.model_name,
        model_version=champion.version,
    )


def shard_drop(fetched: FetchedDrop, shards: Shards) -> ShardedDrop:
    """Cut the accepted rows of one drop into the next shards, and upload the rows for the delivery."""
    drop, first, accepted = fetched.drop, shards.number, fetched.folder / "accepted"
    fetched.quarantine_unparsable()
    table = up_to(SCORING, PREDICTION, arrived=drop.as_of)
    given = fetched.parsed, table, accepted, shards, fetched.quarantine
    before = partial(read_past, LAKE, HISTORIES)
    if HISTORIES or PLANS.ahead.columns:
        done = stage_with_past(*given, histories=HISTORIES, plans=PLANS, read_before=before)
    else:
        done = stage(*given)
    S3.upload_file(str(accepted), BUCKET, Staging(names=NAMES, of=drop.drop_id).accepted)
    return ShardedDrop(
        drop_id=drop.drop_id,
        as_of=drop.as_of,
        source=drop.source,
        source_digest=drop.source_digest,
        accepted=done.rows,
        quarantined=sum(done.refused.values()) + drop.unparsable,
        reasons=together(done.refused, drop.reasons),
        unlisted=done.unlisted,
        first_shard=first,
        # Without an accepted row, shards that were put before the number of rows was known to be wrong do not count.
        shards=shards.number - first if done.rows else 0,
    )
