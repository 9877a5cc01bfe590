"""Joins the answers of the batch transform with the accepted rows, and delivers a Parquet file for each drop.

The file is the record of the drop's decisions. Each day that its rows are about gets a reference to it. The rows that a
person decides come into the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from millrace.artefact.batch import REJECTED, read_answers, reason_of
from millrace.aws.objects import at_once
from millrace.consumers.catalogue import of_stage
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.contract.violation import QuarantinedRow, RuleViolation, key_text, raw_row
from millrace.datasets.quarantine import QuarantineFile, object_key, together
from millrace.decisions.chain import Answerer, answer_instead, answerers
from millrace.decisions.portion import send_scored
from millrace.decisions.record import AnsweredBy
from millrace.decisions.scored import (
    ACTION_COLUMNS,
    FLOOR_COLUMNS,
    ScoredDay,
    beside_columns,
    delivered_key,
    reference_key,
    rows_by_day,
)
from millrace.decisions.standing import Standing
from millrace.functions.delivery.joining import acted, dated, join
from millrace.functions.delivery.reviews import open_reviews
from millrace.messages.envelope import StepInput, handles
from millrace.messages.ingest import Staging
from millrace.messages.score import (
    Delivered,
    DeliveredDrops,
    ScoreState,
    ShardedDrop,
    delivered_schema,
)
from millrace.settings.drop import DropEnvironment
from millrace.state.reviews import ReviewQueue
from millrace.state.table import StateTable
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import MOMENT
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    import pyarrow as pa

SETTINGS = DropEnvironment.parse()
CONTRACT = load_contract(SETTINGS.folder)
SCORING = CONTRACT.table("scoring")
WORKLOAD = load_workload(SETTINGS.folder)
PREDICTION_SPEC = WORKLOAD.prediction
TASK = tasks.declare(PREDICTION_SPEC, CONTRACT.label)
LAKE = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")
CONSUMERS = of_stage(WORKLOAD.consumers, SETTINGS.stage)
SQS = boto3.client("sqs") if CONSUMERS else None
DYNAMODB = boto3.client("dynamodb") if WORKLOAD.policy else None
STANDING = Standing(WORKLOAD.policy, StateTable(DYNAMODB, SETTINGS.names)) if DYNAMODB else None
REVIEWS = ReviewQueue(DYNAMODB, SETTINGS.names) if DYNAMODB else None


@LOGGER.inject_lambda_context
@handles(StepInput[ScoreState])
def handler(call: StepInput[ScoreState]) -> DeliveredDrops:
    """Where the predictions of each drop are, and how many. A repeated call writes the same objects again.

    Only the actions may be others then: they are those of the policy as it stands when the call is repeated."""
    sharded = call.state.validation.answer
    staging = Staging(names=SETTINGS.names, of=call.run)
    answer = DeliveredDrops(drops=tuple(deliver(each, staging, sharded.model_version) for each in sharded.drops))
    LOGGER.info("delivered", extra=answer.model_dump())
    return answer


def deliver(drop: ShardedDrop, of_run: Staging, model_version: str) -> Delivered:
    """Write the predictions of one drop as one file, and upload it; rows without an answer go into the quarantine.

    The references come last: a delivery that was killed has no decisions before it is repeated. Only the rows that a
    person decides are opened behind them, so that whoever gets one finds its decision. `of_run` is the staging
    of the execution, which has the answers."""
    staging, key = Staging(names=SETTINGS.names, of=drop.drop_id), delivered_key(SETTINGS.workload, drop.drop_id)
    with TemporaryDirectory() as folder:
        accepted, delivered, kept = (Path(folder, name) for name in ("accepted", "delivered", "refused"))
        S3.download_file(LAKE, staging.accepted, str(accepted))
        with QuarantineFile(kept, drop_id=drop.drop_id, source=drop.source, as_of=drop.as_of) as refused:
            answers = read(of_run, model_version, drop)
            rows, days = write(accepted, delivered, answers, model_version, refused)
        if refused.rows:
            S3.upload_file(str(kept), LAKE, quarantine_key(drop.drop_id, drop.as_of))
        S3.upload_file(str(delivered), LAKE, key)
        known = refer(drop, of_run, days)
        if SQS is not None and known:
            one = next(iter(known.values()))
            send_scored(SQS, SETTINGS.names, CONSUMERS, str(delivered), one, drop_id=drop.drop_id)
        unopened = 0
        if REVIEWS and WORKLOAD.policy:
            unopened = open_reviews(
                REVIEWS,
                str(delivered),
                known,
                workload=SETTINGS.workload,
                drop_id=drop.drop_id,
                review=WORKLOAD.policy.review,
                opened_at=drop.as_of,
            )
    return Delivered(
        drop_id=drop.drop_id,
        uri=staging.uri(key),
        rows=rows,
        quarantined=drop.quarantined + refused.rows,
        reasons=together(drop.reasons, refused.reasons),
        unlisted=drop.unlisted,
        unopened=unopened,
    )


def refer(drop: ShardedDrop, of_run: Staging, days: Mapping[date, int]) -> dict[date, ScoredDay]:
    """Put the reference of each day, and return them. `days` says how many rows are about which day."""
    if not days:
        return {}
    last = of_run.answers(drop.first_shard + drop.shards - 1)
    known = ScoredDay(
        source=drop.source,
        source_digest=drop.source_digest,
        run=of_run.of,
        first_shard=drop.first_shard,
        shards=drop.shards,
        rows=0,
        # The answers are older than every delivery of them: a repeated call writes the same bytes.
        inferred_at=S3.head_object(Bucket=LAKE, Key=last)["LastModified"],
        phase="live",
        key=PREDICTION_SPEC.key,
        event_time=PREDICTION_SPEC.event_time,
        answer=tuple(field.name for field in TASK.answer),
        beside=tuple(beside_columns(WORKLOAD.policy, PREDICTION_SPEC.dates)),
    )

    references = {day: known.model_copy(update={"rows": rows}) for day, rows in days.items()}

    def put(day: date) -> None:
        body, key = references[day].model_dump_json(), reference_key(SETTINGS.workload, day, drop.drop_id)
        S3.put_object(Bucket=LAKE, Key=key, Body=body.encode())

    at_once(put, days)
    return references


def read(staging: Staging, model_version: str, drop: ShardedDrop) -> Iterator[pa.Table]:
    """Every answer of the drop, shard after shard. `staging` is the staging of the execution."""
    for number in range(drop.first_shard, drop.first_shard + drop.shards):
        found = S3.get_object(Bucket=LAKE, Key=staging.answers(number))
        yield read_answers(found["Body"].read(), model_version=model_version, fields=TASK.answer)


def quarantine_key(drop_id: str, as_of: datetime) -> str:
    return object_key(SETTINGS.workload, "scoring", as_of=as_of, drop_id=drop_id, part="undecodable")


def write(
    accepted: Path,
    delivered: Path,
    answers: Iterator[pa.Table],
    model_version: str,
    refused: QuarantineFile,
) -> tuple[int, Counter[date]]:
    """How many rows were written to `delivered`, and how many of them are about which day.

    Rows without an answer went to `refused`. Memory does not grow with the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def refuse(rows: pa.Table) -> None:
        refused.add(map(quarantined, rows.to_pylist()))

    written = delivered_schema(CONTRACT, TASK, WORKLOAD.policy, PREDICTION_SPEC.dates)
    added = (*ACTION_COLUMNS, *FLOOR_COLUMNS, MOMENT)
    schema = pa.schema([field for field in written if field.name not in added])
    rows, days = 0, Counter[date]()
    with pq.ParquetWriter(delivered, written, write_page_checksum=True, compression="zstd") as writer:
        batches = pq.ParquetFile(accepted, page_checksum_verification=True).iter_batches()
        for batch in join(
            batches, answers, fields=TASK.answer, schema=schema, model_version=model_version, refuse=refuse
        ):
            batch = dated(batch, PREDICTION_SPEC)
            if STANDING and (acting := STANDING.acting(model_version)):  # a pause holds in the middle of a file too
                # The answerers of the chain answer every row with the same, so one answer stands for all.
                instead = answer_instead([{}], chain(STANDING), TASK)[0] if acting.below_floor else None
                batch = acted(
                    batch,
                    acting,
                    written,
                    event_time=PREDICTION_SPEC.event_time,
                    key=PREDICTION_SPEC.key,
                    fields=TASK.answer,
                    instead=instead,
                )
            writer.write_batch(batch)
            rows += batch.num_rows
            days.update(rows_by_day(batch.column(PREDICTION_SPEC.event_time)))
    return rows, days


def chain(standing: Standing) -> dict[AnsweredBy, Answerer]:
    """The answerers of `prediction.fallback`."""
    return answerers(PREDICTION_SPEC, TASK, rule=standing.rule_answer())


def quarantined(row: dict[str, Any]) -> QuarantinedRow:
    """A row that the contract has accepted and the model's container has not, as a quarantined row."""
    # What remains in `row` are the contract's columns, which are kept as the raw row.
    line, reason = row.pop(LINE), row.pop(REJECTED)
    violation = RuleViolation(
        reason=reason_of(reason["column"], SCORING),
        column=reason["column"],
        expected=reason["expected"],
        got=reason["came"],
    )
    key = key_text(row, SCORING)
    return QuarantinedRow(line=line, violations=(violation,), key=key, raw=raw_row(row))
