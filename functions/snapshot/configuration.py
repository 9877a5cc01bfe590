"""The files that a run has before its jobs start. They say what is trained, on which rows, by which rules.

The files are below `s3://<artefacts>/<workload>/runs/<run>/`:

    manifest.json                                the data files of rows and labels, for SageMaker
    config/run.json                              what the run was started with, and its digests
    config/workload.yaml, config/contract.yaml   the declaration and the contract of this moment
    config/schema.json                           the Iceberg schema of the rows
    config/labels.json                           the Iceberg schema of the labels, and which data files have them
"""

from __future__ import annotations

from typing import Any

from millrace.aws.objects import put_object
from millrace.contract.load import digest, read_document
from millrace.contract.schema import Contract
from millrace.datasets.versions import DatasetVersion
from millrace.messages.envelope import StepInput
from millrace.messages.training_run import Run
from millrace.settings.training import SnapshotSettings

FILES = ("workload.yaml", "contract.yaml")


def configure(
    s3: Any, settings: SnapshotSettings, contract: Contract, pin: DatasetVersion, call: StepInput[Any], **more: Any
) -> Run:
    """Write the files of the run on the pinned dataset version. `s3` is boto3's client; `more` are fields of the run.

    The gate `non_inferiority` asks for a model that is no worse than the champion, `baseline` for a better one than the
    naive rule."""
    run, folder, names = call.run, settings.folder, settings.names
    described = Run(
        run=run,
        snapshot_id=pin.snapshot_id,
        tag=pin.tag,
        data_digest=pin.data_digest,
        contract_digest=contract.digest,
        config_digest=digest(read_document(folder / "workload.yaml")),
        code_digest=settings.code_digest,
        rows=pin.rows,
        as_of=call.state.as_of,
        reason=call.state.reason,
        pulled=call.state.pulled,
        **more,
    )
    put_object(s3, names.run_uri(run, "manifest.json"), pin.manifest.encode())
    files = {name: (folder / name).read_bytes() for name in FILES}
    files |= {"schema.json": pin.schema.encode(), "labels.json": pin.labels.encode()}
    files["run.json"] = described.model_dump_json().encode()
    for name, content in files.items():
        put_object(s3, names.run_uri(run, "config", name), content)
    return described
