"""Judges typed rows by the contract. Accepted rows are committed to their table or, to be scored, cut into shards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3

from millrace.aws.metrics import publish
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.contract.schema import Feed
from millrace.datasets.quarantine import together
from millrace.datasets.tables import Lake
from millrace.functions.room import WorkloadRoom
from millrace.functions.validation.drops import Commits, FetchedDrop
from millrace.functions.validation.scoring import Scoring
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import Committed, CommittedDrops, IngestState
from millrace.messages.score import Sharded
from millrace.operations.alarms import REFUSED_DROPS, REFUSED_ROWS, REFUSED_SHARE
from millrace.settings.drop import ValidationSettings
from millrace.state.refused_share import RefusedRows

ROOM = WorkloadRoom(ValidationSettings.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder).read_by_models(ROOM.workload.prediction.tensor_columns))
S3 = boto3.client("s3")
COMMITS, SCORING, REFUSED = Commits(ROOM, LAKE, S3), Scoring(ROOM, LAKE, S3), RefusedRows(ROOM.state)


@ROOM.handles(StepInput[IngestState])
def handler(call: StepInput[IngestState]) -> CommittedDrops | Sharded:
    """What was committed, or cut into shards. A repeated call returns the same."""
    feed = call.state.detail.feed
    with TemporaryDirectory() as folder:
        fetch = partial(FetchedDrop.fetch, S3, ROOM.names, feed=feed, folder=Path(folder))
        drops = [fetch(drop) for drop in call.state.ingested.parsed]
        answer = SCORING.shard(drops, call.run) if feed == "scoring" else COMMITS.commit(drops, call)
    ROOM.logger.info("validated", extra={"drops": [one.logged() for one in answer.drops]})
    judge_refused(feed, answer)
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
    ratio = REFUSED.ratio(feed, rows=rows, refused=sum(refused), declared=ROOM.workload.monitors.refused_share)
    if not any(refused):
        return
    drops = sum(bad > 0 and not good for good, bad in zip(accepted, refused, strict=True))
    workload = ROOM.names.workload
    publish({REFUSED_SHARE: ratio, REFUSED_DROPS: drops, REFUSED_ROWS: sum(refused)}, Workload=workload)
    for reason, count in together(*(one.reasons for one in answer.drops)).items():
        publish({REFUSED_ROWS: count}, Workload=workload, Reason=reason)
