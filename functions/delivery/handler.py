"""Joins the answers of the batch transform with the accepted rows, and delivers a Parquet file for each drop.

The file is the record of the drop's decisions. Each day that its rows are about gets a reference to it. The rows that a
person decides come into the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3

from millrace.aws.objects import at_once
from millrace.datasets.quarantine import QuarantineFile, object_key, together
from millrace.decisions.portion import ConsumerQueues
from millrace.decisions.scored import ScoredDay, beside_columns, delivered_key, reference_key
from millrace.functions.delivery.predictions import Predictions
from millrace.functions.delivery.reviews import open_reviews
from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import Staging
from millrace.messages.score import Delivered, DeliveredDrops, ScoreState, ShardedDrop
from millrace.settings.drop import DropEnvironment
from millrace.state.reviews import ReviewQueue

ROOM = WorkloadRoom(DropEnvironment.parse(), __name__)
PREDICTION_SPEC = ROOM.workload.prediction
LAKE = ROOM.names.platform.bucket("lake")
S3 = boto3.client("s3")
CONSUMERS = ConsumerQueues.of(ROOM.names, ROOM.workload.consumers, boto3.client)
PREDICTIONS = Predictions(ROOM, S3)
REVIEWS = ReviewQueue(ROOM.dynamodb, ROOM.names) if ROOM.workload.policy else None


@ROOM.handles(StepInput[ScoreState])
def handler(call: StepInput[ScoreState]) -> DeliveredDrops:
    """Where the predictions of each drop are, and how many. A repeated call writes the same objects again.

    Only the actions may be others then: they are those of the policy as it stands when the call is repeated."""
    sharded = call.state.validation.answer
    staging = Staging(names=ROOM.names, of=call.run)
    answer = DeliveredDrops(drops=tuple(deliver(each, staging, sharded.model_version) for each in sharded.drops))
    ROOM.logger.info("delivered", extra=answer.model_dump())
    return answer


def deliver(drop: ShardedDrop, of_run: Staging, model_version: str) -> Delivered:
    """Write the predictions of one drop as one file, and upload it; rows without an answer go into the quarantine.

    The references come last: a delivery that was killed has no decisions before it is repeated. Only the rows that a
    person decides are opened behind them, so that whoever gets one finds its decision. `of_run` is the staging
    of the execution, which has the answers."""
    staging, key = Staging(names=ROOM.names, of=drop.drop_id), delivered_key(ROOM.names.workload, drop.drop_id)
    lost = object_key(ROOM.names.workload, "scoring", as_of=drop.as_of, drop_id=drop.drop_id, part="undecodable")
    with TemporaryDirectory() as folder:
        accepted, delivered, kept = (Path(folder, name) for name in ("accepted", "delivered", "refused"))
        S3.download_file(LAKE, staging.rows("accepted"), str(accepted))
        with QuarantineFile(kept, drop_id=drop.drop_id, source=drop.source, as_of=drop.as_of) as refused:
            answers = PREDICTIONS.read(of_run, model_version, drop)
            rows, days = PREDICTIONS.write(accepted, delivered, answers, model_version, refused)
        if refused.rows:
            S3.upload_file(str(kept), LAKE, lost)
        S3.upload_file(str(delivered), LAKE, key)
        known = refer(drop, of_run, days)
        if CONSUMERS.consumers and known:
            CONSUMERS.send_scored(str(delivered), next(iter(known.values())), drop_id=drop.drop_id)
        unopened = 0
        if REVIEWS and ROOM.workload.policy:
            unopened = open_reviews(
                REVIEWS,
                str(delivered),
                known,
                workload=ROOM.names.workload,
                drop_id=drop.drop_id,
                review=ROOM.workload.policy.review,
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
        answer=tuple(field.name for field in PREDICTIONS.task.answer),
        beside=tuple(beside_columns(ROOM.workload.policy, PREDICTION_SPEC.dates)),
    )
    references = {day: known.model_copy(update={"rows": rows}) for day, rows in days.items()}

    def put(day: date) -> None:
        body, key = references[day].model_dump_json(), reference_key(ROOM.names.workload, day, drop.drop_id)
        S3.put_object(Bucket=LAKE, Key=key, Body=body.encode())

    at_once(put, days)
    return references
