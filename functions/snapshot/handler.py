"""Pins the rows and the rules of a training run: joins late labels, tags the snapshot, writes the run's files."""

from __future__ import annotations

import boto3
from aws_lambda_powertools import Logger

from functions.snapshot.configuration import configure, write
from millrace.contract.load import load_contract
from millrace.datasets.joined_labels import JoinedLabels, join_labels
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin, pinned
from millrace.messages.envelope import StepInput, handles
from millrace.messages.train import DatasetPinned, TrainInput
from millrace.settings.snapshot import SnapshotSettings
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = SnapshotSettings.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LAKE = Lake(NAMES, load_contract(SETTINGS.folder).read_by_models(WORKLOAD.prediction.tensor_columns))
LOGGER = Logger()
S3 = boto3.client("s3")
POINTERS = ReleasePointers(StateTable(boto3.client("dynamodb"), NAMES))


@LOGGER.inject_lambda_context
@handles(StepInput[TrainInput])
def handler(call: StepInput[TrainInput]) -> DatasetPinned:
    """The dataset version of the run, its digests and the URIs of its files. A repeated call gives the same version."""
    # The order matters: late labels become rows first, then the snapshot with these rows gets its tag. In a repeated
    # call the tag is there already, and labels that came since are left to the next run.
    joined = JoinedLabels(rows=0, unmatched=0, refused=0)
    if pinned(LAKE, call.run) is None:
        joined = join_labels(LAKE, S3, WORKLOAD.prediction, run=call.run)
    made = configure(
        pin(LAKE, call.run),
        SETTINGS.folder,
        LAKE.contract,
        given=call.state,
        run=call.run,
        code_digest=SETTINGS.code_digest,
        champion=POINTERS.champion() is not None,
    )
    write(S3, NAMES, made)
    answer = DatasetPinned(
        **made.run.model_dump(exclude={"snapshot_id"}),
        snapshot_id=str(made.run.snapshot_id),
        joined=joined.rows,
        unmatched=joined.unmatched,
        refused=joined.refused,
        corrected=joined.corrected,
        manifest_uri=NAMES.run_uri(call.run, "manifest.json"),
        config_uri=NAMES.run_uri(call.run, "config", ""),
    )
    LOGGER.info("pinned", extra={"snapshot": answer.model_dump(mode="json")})
    return answer
