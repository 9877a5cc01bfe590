"""Pins the rows and the rules of a training run: joins late labels, tags the snapshot, writes the run's files."""

from __future__ import annotations

import boto3
from aws_lambda_powertools import Logger

from millrace.contract.load import load_contract
from millrace.datasets.joined_labels import JoinedLabels, join_labels
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.label_change import label_change
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin, pinned
from millrace.functions.snapshot.configuration import configure, write
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import StepInput, handles
from millrace.messages.train import Corrections, DatasetPinned, TrainInput
from millrace.settings.snapshot import SnapshotSettings
from millrace.state.audit import Record, append
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = SnapshotSettings.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LAKE = Lake(NAMES, load_contract(SETTINGS.folder).read_by_models(WORKLOAD.prediction.tensor_columns))
LOGGER = Logger()
S3 = boto3.client("s3")
DYNAMODB = boto3.client("dynamodb")
POINTERS, KNOWN = ReleasePointers(StateTable(DYNAMODB, NAMES)), KnownRows(LAKE, WORKLOAD, DYNAMODB)


@LOGGER.inject_lambda_context
@handles(StepInput[TrainInput])
def handler(call: StepInput[TrainInput]) -> DatasetPinned:
    """The dataset version of the run, its digests and the URIs of its files. A repeated call gives the same version."""
    # The order matters: late labels become rows first, then the snapshot with these rows gets its tag. In a repeated
    # call the tag is there already, and labels that came since are left to the next run.
    champion = POINTERS.champion()
    is_pinned = pinned(LAKE, call.run) is not None
    corrections = judge(call, trained_by=champion.run if champion else "", is_pinned=is_pinned)
    joined = JoinedLabels(rows=0, unmatched=0, refused=0)
    if not is_pinned:
        joined = join_labels(LAKE, S3, WORKLOAD.prediction, run=call.run, corrects=not corrections.is_held)
    KNOWN.refresh()
    made = configure(
        # Rows of a held run are no rows of its training: their tag has another name.
        pin(LAKE, f"{call.run}-held" if corrections.is_held else call.run),
        SETTINGS.folder,
        LAKE.contract,
        given=call.state,
        run=call.run,
        code_digest=SETTINGS.code_digest,
        champion=champion is not None,
    )
    write(S3, NAMES, made)
    answer = DatasetPinned(
        **made.run.model_dump(exclude={"snapshot_id"}),
        snapshot_id=str(made.run.snapshot_id),
        joined=joined.rows,
        unmatched=joined.unmatched,
        refused=joined.refused,
        corrected=joined.corrected,
        corrections=corrections,
        manifest_uri=NAMES.run_uri(call.run, "manifest.json"),
        config_uri=NAMES.run_uri(call.run, "config", ""),
    )
    if corrections.rows:
        record = Record(
            actor="snapshot",
            execution_arn=call.execution_arn,
            event=AuditEvent.LABELS_CORRECTED,
            as_of=call.state.as_of,
            cause=call.state.cause,
            details=corrections,
        )
        append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    LOGGER.info("pinned", extra={"snapshot": answer.model_dump(mode="json")})
    return answer


def judge(call: StepInput[TrainInput], *, trained_by: str, is_pinned: bool) -> Corrections:
    """How far the labels have changed since the live version was trained, and whether a person has to accept that."""
    pinned_by = call.run if is_pinned else ""
    found = label_change(LAKE, WORKLOAD.prediction, trained_by=trained_by, pinned_by=pinned_by)
    bound = WORKLOAD.retraining.maximum_corrected
    is_beyond = found.moved is None or max(found.share, found.moved) > bound
    return Corrections(
        rows=found.corrected,
        labelled=found.labelled,
        share=found.share,
        moved=found.moved,
        unmeasured=found.unmeasured,
        first_unmeasured=found.first_unmeasured,
        bound=bound,
        is_held=is_beyond and not (is_pinned or call.state.accept_corrections),
    )
