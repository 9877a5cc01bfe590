"""Typed rows are judged by the contract and by the keys that the table holds: accepted, or quarantined with reasons."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.validation.screening import screen
from millrace.contract.load import load_contract
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.datasets.tables import Lake
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import IngestState, Staged, Validated
from millrace.settings.validation import ValidationSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = ValidationSettings.parse()
CONTRACT = load_contract(Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload)
LAKE = Lake(SETTINGS.names, CONTRACT)
BUCKET = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """How many rows are accepted and how many refused; rows in are the sum, or the table holds the bytes already."""
    call = StepInput[IngestState].model_validate(event)
    with TemporaryDirectory() as folder:
        answer = judge(call, Path(folder))
    LOGGER.info("validated", extra=answer.model_dump())
    return answer.model_dump()


def judge(call: StepInput[IngestState], folder: Path) -> Validated:
    from millrace.datasets.commits import find_commit
    from millrace.datasets.existing_keys import held_in_file

    drop, staged = call.state.detail, Staged(workload=SETTINGS.workload, run=call.run)
    parsed, accepted, raw = folder / "parsed", folder / "accepted", folder / "refused"
    iceberg = LAKE.find(drop.table)
    earlier = find_commit(iceberg, call.state.ingested.source_digest) if iceberg is not None else None
    if earlier is not None and earlier.run != call.run:
        return Validated(accepted=0, refused=0, duplicate=True, checked=str(earlier.snapshot_id))
    S3.download_file(BUCKET, staged.parsed, str(parsed))
    head = iceberg.current_snapshot() if iceberg is not None else None
    held = held_in_file(LAKE, drop.table, iceberg, parsed)
    with QuarantineFile(raw, run=call.run, source=drop.uri, as_of=call.state.as_of) as refused:
        rows = screen(parsed, CONTRACT.table(drop.feed), accepted, refused, held=held)
    S3.upload_file(str(accepted), BUCKET, staged.accepted)
    if refused.rows:
        key = object_key(SETTINGS.workload, drop.feed, as_of=call.state.as_of, run=call.run, part="refused")
        S3.upload_file(str(raw), BUCKET, key)
    checked = str(head.snapshot_id) if head else ""
    return Validated(accepted=rows, refused=refused.rows, duplicate=False, checked=checked)
