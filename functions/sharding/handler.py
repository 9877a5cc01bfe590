"""A scoring drop becomes shards for batch transform; its bad rows are quarantined with their reasons."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.sharding.landing import Found, Landing
from functions.sharding.screening import Screened, rejected, screen
from functions.sharding.shards import shards
from millrace.contract.load import load_contract
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.errors import DropError
from millrace.files.parsed import Limits
from millrace.messages.envelope import Invocation
from millrace.messages.score import ScoringState, Sharded, Staging
from millrace.settings.sharding import ShardingSettings
from millrace.state.table import State
from millrace.workload.declaration import load_workload

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = ShardingSettings.parse()
FOLDER = Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload
FEATURES = load_workload(FOLDER).prediction.features
TABLE = load_contract(FOLDER).table("scoring")
LIMITS = Limits(file_bytes=SETTINGS.drop_mb * 2**20)
LAKE = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")
STATE = State(boto3.client("dynamodb"), table=SETTINGS.names.platform.state_table, workload=SETTINGS.workload)
LANDING = Landing(S3, names=SETTINGS.names)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """What was sharded and by which model it is to be scored; `held` while there is no champion.

    Asked again in the same run it writes the same objects again."""
    asked = Invocation[ScoringState].model_validate(event)
    champion = STATE.champion()
    if champion is None:
        return Sharded(held=True).model_dump()
    staging = Staging(names=SETTINGS.names, run=asked.run)
    drop = LANDING.find(asked.state.detail)
    with TemporaryDirectory() as folder:
        found = screened(drop, Path(folder))
        number = 0 if found.rejected else stage(staging, found, Path(folder))
        quarantine(found, asked, drop.uri, Path(folder))
    answer = Sharded(
        rejected=found.rejected,
        source=drop.uri,
        accepted=found.accepted.num_rows,
        quarantined=len(found.refused),
        shards=number,
        shards_uri=staging.uri(staging.shards),
        transformed_uri=staging.uri(staging.transformed),
        model_name=champion.model_name,
        model_version=champion.version,
    )
    LOGGER.info("sharded", extra=answer.model_dump())
    return answer.model_dump()


def screened(drop: Found, folder: Path) -> Screened:
    """The rows of the drop; of a drop that is too large, its refusal."""
    try:
        path = LANDING.fetch(drop, folder, most_bytes=LIMITS.file_bytes)
    except DropError as error:
        return rejected(error, TABLE)
    return screen(path, TABLE, LIMITS)


def quarantine(found: Screened, asked: Invocation[ScoringState], source: str, folder: Path) -> None:
    """Keep every refused row with its reason; no file where none was refused."""
    if not found.refused:
        return
    path, as_of = folder / "quarantine.parquet", asked.state.as_of
    with QuarantineFile(path, run=asked.run, source=source, as_of=as_of) as file:
        file.add(found.refused)
    key = object_key(SETTINGS.workload, "scoring", as_of=as_of, run=asked.run, part="refused")
    S3.upload_file(str(path), LAKE, key)


def stage(staging: Staging, found: Screened, folder: Path) -> int:
    """The number of shards written; the accepted rows lie beside them for the delivery."""
    import pyarrow.parquet as pq

    path = folder / "accepted.parquet"
    pq.write_table(found.accepted, path, write_page_checksum=True, row_group_size=65_536)
    S3.upload_file(str(path), LAKE, staging.accepted)
    number = 0
    for number, shard in enumerate(shards(found.accepted, FEATURES, limit=SETTINGS.shard_bytes), 1):
        S3.put_object(Bucket=LAKE, Key=staging.shard(number - 1), Body=shard, ContentType="application/jsonlines")
    return number
