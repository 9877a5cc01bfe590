"""A training run gets its rows and its rules: late labels taken in, the snapshot tagged, the run's files written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.snapshot.configuration import ExecutionInput, configure, write
from millrace.contract.load import load_contract
from millrace.datasets.late_labels import Absorbed, absorb
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin, pinned
from millrace.messages.envelope import StepInput
from millrace.settings.snapshot import SnapshotSettings
from millrace.state.table import State
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = SnapshotSettings.parse()
NAMES = SETTINGS.names
FOLDER = Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload
WORKLOAD, LAKE = load_workload(FOLDER), Lake(NAMES, load_contract(FOLDER))
LOGGER = Logger()
S3 = boto3.client("s3")
STATE = State(boto3.client("dynamodb"), table=NAMES.platform.state_table, workload=SETTINGS.workload)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The dataset version of this run, its digests and where its files lie; asked again, the same."""
    call = StepInput[ExecutionInput].model_validate(event)
    absorbed = Absorbed(rows=0, unmatched=0, refused=0)
    if pinned(LAKE, call.run) is None:
        absorbed = absorb(LAKE, S3, WORKLOAD.prediction, run=call.run)
    version, champion = pin(LAKE, call.run), STATE.champion()
    made = configure(
        version,
        FOLDER,
        LAKE.contract,
        asked=call.state,
        run=call.run,
        code_digest=SETTINGS.code_digest,
        champion=champion is not None,
    )
    write(S3, NAMES, made)
    answer = made.run.model_dump(mode="json") | {
        "snapshot_id": str(version.snapshot_id),  # as text: JSON's numbers are doubles to many readers
        "absorbed": absorbed.rows,
        "unmatched": absorbed.unmatched,
        "refused": absorbed.refused,
        "manifest_uri": NAMES.run_uri(call.run, "manifest.json"),
        "config_uri": NAMES.run_uri(call.run, "config", ""),
        "champion": champion and {"version": champion.version, "model_data_url": champion.model_data_url},
    }
    LOGGER.info("pinned", extra={"snapshot": answer})
    return answer
