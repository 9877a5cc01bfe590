"""The bytes of a drop become typed rows; what cannot be parsed is kept raw, with its line and the reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
from aws_lambda_powertools import Logger

from functions.ingestion.drop import feed_of, fetch, find, origin_of, parse
from millrace.contract.load import load_contract
from millrace.contract.violation import whole_drop
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.errors import DropError
from millrace.files.parsed import Limits
from millrace.messages.envelope import StepInput, handles
from millrace.messages.ingest import Ingested, IngestState, Staging
from millrace.settings.drop import DropEnvironment
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable

SETTINGS = DropEnvironment.parse()
NAMES = SETTINGS.names
CONTRACT = load_contract(SETTINGS.folder)
LIMITS = Limits(file_bytes=SETTINGS.drop_mb * 2**20)
LAKE = NAMES.platform.bucket("lake")
LOGGER = Logger()
MOST_WORDS = 1000
"""Characters of a reason in an answer: a header may be longer than a state machine's payload."""
S3 = boto3.client("s3")
POINTERS = ReleasePointers(StateTable(boto3.client("dynamodb"), NAMES))


@LOGGER.inject_lambda_context
@handles(StepInput[IngestState])
def handler(call: StepInput[IngestState]) -> Ingested:
    """How many rows were typed and how many kept raw, or why the object cannot become rows at all."""
    if call.state.detail.feed == "scoring" and POINTERS.champion() is None:
        return Ingested(held=True)
    with TemporaryDirectory() as folder:
        answer = ingest(call, Path(folder))
    LOGGER.info("ingested", extra=answer.model_dump())
    return answer


def ingest(call: StepInput[IngestState], folder: Path) -> Ingested:
    """The answer; the rows of the drop are staged, or the drop is quarantined whole."""
    drop, raw, digest = call.state.detail, folder / "raw", ""
    source = feed_of(drop, NAMES)
    quarantine = partial(QuarantineFile, raw, run=call.run, as_of=call.state.as_of)
    try:
        source = find(S3, drop, source)
        source, digest = fetch(S3, source, folder / "drop", most_bytes=LIMITS.file_bytes)
        origin = origin_of(S3, source, digest, drop, NAMES, call.state.as_of)
        with quarantine(source=source.uri) as refused:
            rows = parse(
                folder / "drop", CONTRACT.table(drop.feed), folder / "parsed", refused, limits=LIMITS, origin=origin
            )
    except DropError as error:
        with quarantine(source=source.uri) as refused:
            refused.add([whole_drop(error)])
        upload(call, raw, "drop")
        return Ingested(
            rejected=True,
            reason=error.reason,
            expected=error.expected[:MOST_WORDS],
            got=error.got[:MOST_WORDS],
            source=source.uri,
            source_digest=digest,
        )
    S3.upload_file(str(folder / "parsed"), LAKE, Staging(names=NAMES, run=call.run).parsed)
    if refused.rows:
        upload(call, raw, "unparsable")
    return Ingested(
        source=source.uri, source_key=source.key, source_digest=digest, parsed=rows, unparsable=refused.rows
    )


def upload(call: StepInput[IngestState], path: Path, part: str) -> None:
    drop, as_of = call.state.detail, call.state.as_of
    S3.upload_file(str(path), LAKE, object_key(SETTINGS.workload, drop.feed, as_of=as_of, run=call.run, part=part))
