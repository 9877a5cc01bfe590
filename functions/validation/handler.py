"""Typed rows are judged: what is accepted is committed to its table or, to be scored, cut into shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
from aws_lambda_powertools import Logger

from functions.validation.shards import Shards, stage, stage_with_past
from millrace.artefact.batch import CONTENT_TYPE
from millrace.contract.load import load_contract
from millrace.datasets.commits import commit_once
from millrace.datasets.future import up_to
from millrace.datasets.new_rows import Quarantine, RowsInFile, Source
from millrace.datasets.notes import ARRIVAL
from millrace.datasets.past import read_past
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.datasets.tables import Lake
from millrace.errors import ConflictError
from millrace.features import catalogue as encoders
from millrace.messages.envelope import StepInput, handles
from millrace.messages.ingest import Committed, IngestState, Staging
from millrace.messages.score import Sharded
from millrace.settings.validation import ValidationSettings
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = ValidationSettings.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
PREDICTION = WORKLOAD.prediction
LAKE = Lake(NAMES, load_contract(SETTINGS.folder).read_by_models(PREDICTION.tensor_columns))
SCORING = LAKE.contract.table("scoring")
HISTORIES = encoders.histories(encoders.declare(PREDICTION.features, SCORING))
BUCKET = NAMES.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")
POINTERS = ReleasePointers(StateTable(boto3.client("dynamodb"), NAMES))


@LOGGER.inject_lambda_context
@handles(StepInput[IngestState])
def handler(call: StepInput[IngestState]) -> Committed | Sharded:
    """What was committed or cut into shards; called again, the same."""
    staging = Staging(names=NAMES, run=call.run)
    with TemporaryDirectory() as name:
        folder = Path(name)
        S3.download_file(BUCKET, staging.parsed, str(folder / "parsed"))
        quarantine = partial(kept, call, folder / "refused")
        scored = call.state.detail.feed == "scoring"
        answer = shard(call, folder, quarantine) if scored else commit(call, folder, quarantine)
    LOGGER.info("validated", extra=answer.model_dump())
    return answer


def commit(call: StepInput[IngestState], folder: Path, quarantine: Quarantine) -> Committed:
    """One snapshot of the rows' table; the rows of an object that it holds already are not added."""
    drop, ingested = call.state.detail, call.state.ingested
    source = Source(
        uri=ingested.source,
        key=ingested.source_key,
        digest=ingested.source_digest,
        run=call.run,
        sequencer=drop.objects[0].sequencer if drop.objects else "",
        arrived=call.state.as_of,
    )
    contract = up_to(LAKE.contract_of(drop.table), PREDICTION, arrived=call.state.as_of)
    new = RowsInFile(LAKE, drop.table, contract, parsed=folder / "parsed", source=source, quarantine=quarantine)
    done = commit_once(LAKE, drop.table, source, new.write, notes={ARRIVAL: call.state.as_of.isoformat()})
    return Committed(
        feed=drop.feed,
        table=NAMES.table(drop.table),
        snapshot_id=str(done.snapshot_id),
        rows_accepted=done.rows_added,
        rows_quarantined=0 if done.alias_of or done.superseded_by else done.rows_quarantined + ingested.unparsable,
        rows_total=done.rows_total,
        source=ingested.source,
        source_digest=ingested.source_digest,
        duplicate=done.alias_of is not None,
        alias_of=done.alias_of or "",
        withdrawn=done.is_withdrawn,
        superseded_by=done.superseded_by or "",
        has_champion=POINTERS.champion() is not None,
        first_rows=WORKLOAD.training.first_rows,
    )


def shard(call: StepInput[IngestState], folder: Path, quarantine: Quarantine) -> Sharded:
    """Shards for the champion, and the accepted rows beside them for the delivery."""
    champion, ingested = POINTERS.champion(), call.state.ingested
    if champion is None:
        raise ConflictError("expected the champion that the drop was read for, there is none now")
    staging = Staging(names=NAMES, run=call.run)

    def put(number: int, body: bytes) -> None:
        S3.put_object(Bucket=BUCKET, Key=staging.shard(number), Body=body, ContentType=CONTENT_TYPE)

    shards, accepted = Shards(put, PREDICTION.inputs, limit=SETTINGS.shard_bytes), folder / "accepted"
    given = folder / "parsed", SCORING, accepted, shards, quarantine
    before = partial(read_past, LAKE, HISTORIES)
    done = stage_with_past(*given, histories=HISTORIES, read_before=before) if HISTORIES else stage(*given)
    rows, refused = done
    S3.upload_file(str(accepted), BUCKET, staging.accepted)
    return Sharded(
        source=ingested.source,
        source_digest=ingested.source_digest,
        accepted=rows,
        quarantined=refused + ingested.unparsable,
        shards=shards.number if rows else 0,
        shards_uri=staging.uri(staging.shards),
        transformed_uri=staging.uri(staging.transformed),
        model_name=champion.model_name,
        model_version=champion.version,
    )


@contextmanager
def kept(call: StepInput[IngestState], path: Path) -> Iterator[QuarantineFile]:
    """A file of refused rows; one object per execution, so that a further attempt writes it anew."""
    feed, as_of = call.state.detail.feed, call.state.as_of
    with QuarantineFile(path, run=call.run, source=call.state.ingested.source, as_of=as_of) as refused:
        yield refused
    if refused.rows:
        S3.upload_file(
            str(path), BUCKET, object_key(SETTINGS.workload, feed, as_of=as_of, run=call.run, part="refused")
        )
