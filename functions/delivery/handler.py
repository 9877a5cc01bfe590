"""What the transform answered is joined with the accepted rows and delivered as one Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.delivery.joining import Answered, join, read_line
from millrace.contract.load import load_contract
from millrace.messages.envelope import StepInput
from millrace.messages.score import Delivered, ScoringState, Staging, delivered_schema
from millrace.settings.delivery import DeliverySettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = DeliverySettings.parse()
CONTRACT = load_contract(Path(__file__).parents[2] / "workloads" / SETTINGS.workload)
LAKE = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Where the predictions lie and how many; asked again, it writes the same object again."""
    asked = StepInput[ScoringState].model_validate(event)
    sharded, staging = asked.state.sharded, Staging(names=SETTINGS.names, run=asked.run)
    with TemporaryDirectory() as folder:
        accepted, delivered = Path(folder, "accepted.parquet"), Path(folder, "delivered.parquet")
        S3.download_file(LAKE, staging.accepted, str(accepted))
        rows = write(accepted, delivered, answers(staging, sharded.shards), sharded.model_version)
        S3.upload_file(str(delivered), LAKE, staging.delivered)
    answer = Delivered(uri=staging.uri(staging.delivered), rows=rows, quarantined=sharded.quarantined)
    LOGGER.info("delivered", extra=answer.model_dump())
    return answer.model_dump()


def answers(staging: Staging, shards: int) -> Iterator[Answered]:
    """Every answer of the run, shard after shard."""
    for number in range(shards):
        found = S3.get_object(Bucket=LAKE, Key=staging.answers(number))
        yield from map(read_line, found["Body"].iter_lines())


def write(accepted: Path, delivered: Path, answers: Iterator[Answered], model_version: str) -> int:
    """The number of rows written to `delivered`; memory does not grow with the file."""
    import pyarrow.parquet as pq

    schema = delivered_schema(CONTRACT)
    rows = 0
    with pq.ParquetWriter(delivered, schema, write_page_checksum=True, compression="zstd") as writer:
        batches = pq.ParquetFile(accepted, page_checksum_verification=True).iter_batches()
        for batch in join(batches, answers, schema=schema, model_version=model_version):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
