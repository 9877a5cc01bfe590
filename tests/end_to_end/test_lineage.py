"""From a model version back to the bytes that were dropped: every digest is computed again from what lies in S3."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table

from millrace.contract.violation import raw_row
from millrace.datasets.journal import ADDED, Journal, JournalEntry
from millrace.datasets.versions import Pin
from millrace.infra.bundles import closure
from tests.archives import untarred
from tests.end_to_end.conftest import Lived

LINKS = ("data", "contract", "config", "code", "examples", "weights", "onnx", "artefact", "evaluation")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def rows(lived: Lived, catalog: GlueCatalog) -> Table:
    return catalog.load_table((lived.names.platform.database, lived.names.table("rows")))


@pytest.fixture(scope="module", params=["1", "2"])
def package(lived: Lived, request: pytest.FixtureRequest) -> dict[str, Any]:
    client = lived.cloud.client("sagemaker")
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{lived.names.package_group}/{request.param}"
    return dict(client.describe_model_package(ModelPackageName=arn))


def test_the_package_names_every_link(package: dict[str, Any]) -> None:
    assert package["ModelApprovalStatus"] == "Approved"
    links = {name: package["CustomerMetadataProperties"][f"{name}_digest"] for name in LINKS}
    assert [name for name, value in links.items() if len(value) != 64] == []
    assert len(set(links.values())) == len(LINKS)


def test_data(lived: Lived, rows: Table, catalog: GlueCatalog, package: dict[str, Any]) -> None:
    """The pinned snapshots: what they were committed from is in S3 with those digests, and they have what was read."""
    known = package["CustomerMetadataProperties"]
    snapshot = rows.snapshot_by_name(known["tag"])
    assert snapshot is not None
    assert str(snapshot.snapshot_id) == known["snapshot_id"]
    lines = []
    # The journal knows what snapshots brought that have expired since.
    for entry in Journal.of(rows).up_to(snapshot.snapshot_id):
        lines.append(f"{entry.digest}:{entry.notes[ADDED]}")
        assert came_from(lived, rows, entry) == entry.digest
    trained_on = rows.scan(snapshot_id=snapshot.snapshot_id)
    assert trained_on.to_arrow().num_rows == int(known["rows"])
    files = {task.file.file_path for task in trained_on.plan_files()}
    pin = Pin.of(rows.metadata, known["tag"])
    if pin and pin.labels:
        labels = catalog.load_table((lived.names.platform.database, lived.names.table("labels")))
        lines += ["labels", *(f"{entry.digest}:{entry.notes[ADDED]}" for entry in Journal.of(labels).up_to(pin.labels))]
        files |= {task.file.file_path for task in labels.scan(snapshot_id=pin.labels).plan_files()}
    assert sha256("\n".join(lines).encode()) == known["data_digest"]
    prefix, *keys = json.loads(lived.read(lived.names.run_uri(known["run"], "manifest.json")))
    assert {prefix["prefix"] + key for key in keys} == files


def came_from(lived: Lived, table: Table, entry: JournalEntry) -> str:
    """The digest of the dropped object; of the rows themselves where they came out of the table of labels."""
    source = entry.notes["millrace.source"]
    if source.startswith("s3://"):
        return sha256(lived.read(source))
    assert source.startswith(f"{lived.names.table('labels')}@")
    snapshot = table.snapshot_by_id(entry.snapshot_id)
    assert snapshot is not None
    added = [
        entry.data_file.file_path
        for manifest in snapshot.manifests(table.io)
        if manifest.added_snapshot_id == snapshot.snapshot_id
        for entry in manifest.fetch_manifest_entry(table.io)
    ]
    (rows,) = [lived.parquet(uri).drop_columns(["class", "_source", "_arrived"]).to_pylist() for uri in added]
    return sha256(source.rpartition("@")[2].encode() + "".join(f"{raw_row(row)}\n" for row in rows).encode())


@pytest.mark.parametrize(("link", "file"), [("contract", "contract.yaml"), ("config", "workload.yaml")])
def test_declaration(lived: Lived, package: dict[str, Any], link: str, file: str) -> None:
    known = package["CustomerMetadataProperties"]
    document = yaml.safe_load(lived.read(lived.names.run_uri(known["run"], "config", file)))
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    assert sha256(canonical.encode()) == known[f"{link}_digest"]


def test_code(lived: Lived, package: dict[str, Any]) -> None:
    """The sources as they lie in the container's folder, from which they ran."""
    root = lived.build / "local" / "images" / "training" / "opt" / "program"
    files = sorted(closure(root, root / "millrace" / "jobs" / "training" / "__main__.py"))
    assert len(files) > 10
    code = sha256(b"\0".join(file.read_bytes() for file in files))
    assert code == package["CustomerMetadataProperties"]["code_digest"]


def test_weights(lived: Lived, package: dict[str, Any]) -> None:
    """The artefact that is served is the one that was registered, and it names the links before it."""
    known = package["CustomerMetadataProperties"]
    content = lived.read(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    assert sha256(content) == known["artefact_digest"]
    found = {name.removeprefix("./"): member for name, member in untarred(content).items()}
    assert sha256(found["weights.safetensors"]) == known["weights_digest"]
    assert sha256(found["model.onnx"]) == known["onnx_digest"]
    inside = json.loads(found["model.json"])["digests"]
    assert inside == {name: known[f"{name}_digest"] for name in inside}
    report = lived.read(lived.names.run_uri(known["run"], "evaluation", "evaluation.json"))
    assert sha256(report) == known["evaluation_digest"]


def test_every_run_is_in_mlflow(lived: Lived) -> None:
    """Three trainings: two that were registered and one that the gates refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in functions/tracking/records.py
        from mlflow.tracking import MlflowClient

        uri = f"sqlite:///{Path(lived.build, 'mlflow.db')}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        (experiment,) = client.search_experiments(filter_string="name = 'millrace-local-electricity'")
        runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["model_version"] for run in runs) == ["", "1", "2"]
    for run in runs:
        assert {"train_loss", "validation_error", "test_accuracy", "test_ece"} <= run.data.metrics.keys()
        assert len(run.data.tags["weights_digest"]) == 64
        assert run.info.status == "FINISHED"
