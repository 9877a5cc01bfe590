"""The bytes of a drop become typed rows; what cannot be parsed is kept raw, with its line and the reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.ingestion.fetching import fetch
from functions.ingestion.parsing import parse, whole
from millrace.contract.load import load_contract
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.errors import DropError
from millrace.files.parsed import Limits
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import Ingested, IngestState, Staged
from millrace.settings.ingestion import IngestionSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = IngestionSettings.parse()
CONTRACT = load_contract(Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload)
LIMITS = Limits(file_bytes=SETTINGS.drop_mb * 2**20)
LAKE = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """How many rows were typed and how many kept raw, or why the object cannot become rows at all."""
    call = StepInput[IngestState].model_validate(event)
    with TemporaryDirectory() as folder:
        answer = ingest(call, Path(folder))
    LOGGER.info("ingested", extra=answer.model_dump())
    return answer.model_dump()


def ingest(call: StepInput[IngestState], folder: Path) -> Ingested:
    drop, raw, digest = call.state.detail, folder / "raw", ""
    quarantine = partial(QuarantineFile, raw, run=call.run, source=drop.uri, as_of=call.state.as_of)
    try:
        digest = fetch(S3, drop, folder / "drop", most_bytes=LIMITS.file_bytes)
        with quarantine() as refused:
            rows = parse(folder / "drop", CONTRACT.table(drop.feed), folder / "parsed", refused, limits=LIMITS)
    except DropError as error:
        with quarantine() as refused:
            refused.add([whole(error)])
        upload(call, raw, "drop")
        return Ingested(rejected=True, reason=error.reason, source=drop.uri, source_digest=digest)
    S3.upload_file(str(folder / "parsed"), LAKE, Staged(workload=SETTINGS.workload, run=call.run).parsed)
    if refused.rows:
        upload(call, raw, "unparsable")
    return Ingested(source=drop.uri, source_digest=digest, parsed=rows, unparsable=refused.rows)


def upload(call: StepInput[IngestState], path: Path, part: str) -> None:
    drop, as_of = call.state.detail, call.state.as_of
    S3.upload_file(str(path), LAKE, object_key(SETTINGS.workload, drop.feed, as_of=as_of, run=call.run, part=part))
