"""Pins the rows and the rules of a training run: joins late labels, tags the snapshot, writes the run's files."""

from __future__ import annotations

import boto3

from millrace.contract.load import load_contract
from millrace.datasets.decision_rows import join_labels
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.label_change import label_change
from millrace.datasets.tables import Lake
from millrace.datasets.versions import HELD, pin, pinned
from millrace.datasets.volume import bytes_of_rows, volume_gb
from millrace.features import catalogue as encoders
from millrace.functions.room import WorkloadRoom
from millrace.functions.snapshot.configuration import configure
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import StepInput
from millrace.messages.train import Corrections, DatasetPinned, JoinedLabels, JoiningState
from millrace.settings.training import SnapshotSettings
from millrace.workload.prices import gpus_of

ROOM = WorkloadRoom(SnapshotSettings.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder).read_by_models(ROOM.workload.prediction.tensor_columns))
SIGNATURE = encoders.signature(encoders.declare(ROOM.workload.prediction.features, LAKE.contract.rows))
PROCESSES = max(map(gpus_of, ROOM.workload.training.instance.values()))
S3 = boto3.client("s3")
KNOWN = KnownRows(LAKE, ROOM.workload, ROOM.dynamodb)


@ROOM.handles(StepInput[JoiningState])
def handler(call: StepInput[JoiningState]) -> DatasetPinned | JoinedLabels:
    """The dataset version of the run, its digests and the URIs of its files; before that, how far labels are joined.

    A repeated call gives the same version."""
    # The order matters: late labels bring rows first, then the snapshot with these rows gets its tag. A repeated call
    # finds the tag, and leaves labels that came since to the next run.
    champion = ROOM.pointers.champion()
    is_pinned = pinned(LAKE, call.run) is not None
    joined = JoinedLabels() if is_pinned else join(call)
    if joined.has_more:
        ROOM.logger.info("joined", extra={"labels": joined.model_dump(exclude={"cuts"})})
        return joined
    corrections = judge(call, trained_by=champion.run if champion else "", is_pinned=is_pinned)
    KNOWN.refresh()
    # Rows of a held run are no rows of its training: their tag has another name.
    version = pin(LAKE, f"{call.run}{HELD}" if corrections.is_held else call.run)
    gate = "non_inferiority" if champion else "baseline"
    needed = bytes_of_rows(version.bytes, version.rows, SIGNATURE, processes=PROCESSES)
    made = configure(S3, ROOM.settings, LAKE.contract, version, call, gate=gate, volume_gb=volume_gb(needed))
    answer = DatasetPinned(
        **made.model_dump(exclude={"snapshot_id"}),
        snapshot_id=str(made.snapshot_id),
        joined=joined.rows,
        unmatched=joined.unmatched,
        refused=joined.refused,
        corrections=corrections,
        manifest_uri=ROOM.names.run_uri(call.run, "manifest.json"),
        config_uri=ROOM.names.run_uri(call.run, "config", ""),
    )
    if corrections.rows:
        ROOM.audit(AuditEvent.LABELS_CORRECTED, corrections, call)
    ROOM.logger.info("pinned", extra={"snapshot": answer.model_dump(mode="json")})
    return answer


def join(call: StepInput[JoiningState]) -> JoinedLabels:
    """What became of the late labels up to this call, which joins a portion of them."""
    before = call.state.snapshot.answer if call.state.snapshot else None
    rows = ROOM.settings.portion_rows
    return join_labels(LAKE, S3, ROOM.workload.prediction, run=call.run, before=before, portion_rows=rows)


def judge(call: StepInput[JoiningState], *, trained_by: str, is_pinned: bool) -> Corrections:
    """How far the labels have changed since the live version was trained, and whether a person has to accept that."""
    found = label_change(LAKE, ROOM.workload.prediction, trained_by=trained_by, pinned_by=call.run if is_pinned else "")
    bound = ROOM.workload.retraining.maximum_corrected
    is_beyond = found.moved is None or max(found.share, found.moved) > bound
    return Corrections(
        **vars(found),
        share=found.share,
        bound=bound,
        is_held=is_beyond and not (is_pinned or call.state.accept_corrections),
    )
