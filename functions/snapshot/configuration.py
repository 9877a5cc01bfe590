"""The files that a run has before its jobs start. They say what is trained, on which rows, by which rules.

The files are below `s3://<artefacts>/<workload>/runs/<run>/`:

    manifest.json                                the data files of rows and labels, for SageMaker
    config/run.json                              what the run was started with, and its digests
    config/workload.yaml, config/contract.yaml   the declaration and the contract of this moment
    config/schema.json                           the Iceberg schema of the rows
    config/labels.json                           the Iceberg schema of the labels, and which data files have them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.aws.objects import split_uri
from millrace.contract.load import digest, read_document
from millrace.contract.schema import Contract
from millrace.datasets.versions import DatasetVersion
from millrace.messages.train import TrainInput
from millrace.messages.training_run import Run
from millrace.names import WorkloadNames

FILES = ("workload.yaml", "contract.yaml")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The contents of these files."""

    run: Run
    manifest: str
    files: tuple[tuple[str, bytes], ...]
    """The name and the content of each file in `config/`."""


def configure(
    pin: DatasetVersion,
    folder: Path,
    contract: Contract,
    *,
    given: TrainInput,
    run: str,
    code_digest: str,
    champion: bool,
    volume_gb: int,
) -> Configuration:
    """The configuration of the run on the pinned dataset version. `folder` has the declaration.

    With a champion the run's model must be no worse than it (`non_inferiority`), else better than the naive rule
    (`baseline`)."""
    described = Run(
        run=run,
        snapshot_id=pin.snapshot_id,
        tag=pin.tag,
        data_digest=pin.data_digest,
        contract_digest=contract.digest,
        config_digest=digest(read_document(folder / "workload.yaml")),
        code_digest=code_digest,
        rows=pin.rows,
        volume_gb=volume_gb,
        as_of=given.as_of,
        reason=given.reason,
        pulled=given.pulled,
        gate="non_inferiority" if champion else "baseline",
    )
    files = [(name, (folder / name).read_bytes()) for name in FILES]
    files += [("schema.json", pin.schema.encode()), ("labels.json", pin.labels.encode())]
    files.append(("run.json", described.model_dump_json().encode()))
    return Configuration(run=described, manifest=pin.manifest, files=tuple(files))


def write(s3: Any, names: WorkloadNames, configuration: Configuration) -> None:
    """Write the manifest and the files to the places that the jobs read. `s3` is boto3's client."""
    run = configuration.run.run
    for uri, content in (
        (names.run_uri(run, "manifest.json"), configuration.manifest.encode()),
        *((names.run_uri(run, "config", name), content) for name, content in configuration.files),
    ):
        bucket, key = split_uri(uri)
        s3.put_object(Bucket=bucket, Key=key, Body=content)
