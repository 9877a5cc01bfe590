"""The accepted rows of a drop become one snapshot of their table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.commit.staging import accepted_rows, keep_late
from millrace.contract.load import load_contract
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import Committed, IngestState
from millrace.settings.commit import CommitSettings
from millrace.state.table import State

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = CommitSettings.parse()
WORKLOAD = SETTINGS.workload
LAKE = Lake(SETTINGS.names, load_contract(Path(__file__).resolve().parents[2] / "workloads" / WORKLOAD))
BUCKET = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")
STATE = State(boto3.client("dynamodb"), table=SETTINGS.names.platform.state_table, workload=WORKLOAD)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The detail of `dataset.committed`; asked again, the same commit."""
    call = StepInput[IngestState].model_validate(event)
    drop, ingested, validated = call.state.detail, call.state.ingested, call.state.validated
    rows = accepted_rows(S3, BUCKET, call, workload=WORKLOAD, table=LAKE.contract.table(drop.feed))
    checked = int(validated.checked) if validated.checked else None
    late = partial(keep_late, S3, BUCKET, call, workload=WORKLOAD)
    done = commit(LAKE, drop.table, rows, call.state.origin(call.run), checked=checked, late=late)
    came_late = 0 if done.alias_of else rows.num_rows - done.rows_added
    answer = Committed(
        feed=drop.feed,
        table=SETTINGS.names.table(drop.table),
        snapshot_id=str(done.snapshot_id),
        rows_accepted=done.rows_added,
        rows_quarantined=validated.refused + came_late + (0 if done.alias_of else ingested.unparsable),
        rows_total=done.rows_total,
        source=drop.uri,
        source_digest=ingested.source_digest,
        duplicate=done.alias_of is not None,
        alias_of=done.alias_of or "",
        has_champion=STATE.champion() is not None,
    )
    LOGGER.info("committed", extra=answer.model_dump())
    return answer.model_dump()
