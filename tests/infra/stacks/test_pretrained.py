"""A workload that takes a sentence encoder: an asset or an object of its own, which its jobs alone may read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.artefact.artefact import digest
from millrace.infra.app import build
from millrace.infra.settings import settings_for
from millrace.workload.training import Pretrained
from tests.infra.conftest import of_type
from tests.minilm import small

INTENTS = Path(__file__).resolve().parents[3] / "workloads" / "intents"
PART = small()
ASSETS = "cdk-hnb659fds-assets-123456789012-eu-west-1"


def training_room(tmp_path: Path, source: str) -> dict[str, Any]:
    """The resources of the training stack of `intents` in the stage dev, with an encoder from `source`."""
    folder = Path(shutil.copytree(INTENTS, tmp_path / "intents", ignore=shutil.ignore_patterns("sample")))
    (folder / "small.safetensors").write_bytes(PART)
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["prediction"]["features"] = [{"name": "text", "encoder": "tokens"}]
    document["training"]["pretrained"] = {"from": source, "digest": f"sha256:{digest(PART)}", "licence": "MIT"}
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    settings = settings_for("dev", account="123456789012", region="eu-west-1")
    build(settings, workloads=[folder], outdir=str(tmp_path / "out")).synth()
    found = json.loads((tmp_path / "out" / "millrace-dev-intents-training.template.json").read_text())
    resources: dict[str, Any] = found["Resources"]
    return resources


@pytest.mark.parametrize(
    ("source", "bucket"), [("small.safetensors", ASSETS), ("s3://models/parts/small.safetensors", "models")]
)
def test_the_job_reads_the_file_and_no_other(tmp_path: Path, source: str, bucket: str) -> None:
    resources = training_room(tmp_path, source)
    text = json.dumps(resources)
    deployed = Pretrained(source=source, digest=f"sha256:{digest(PART)}", licence="MIT").deployed
    key = deployed.removeprefix(f"s3://{bucket}/")
    assert f"s3://{bucket}/{key}" in text
    roles = of_type({"training": {"Resources": resources}}, "AWS::IAM::Role")
    [role] = [json.dumps(one) for one in roles if bucket in str(one)]
    assert f"{bucket}/{key}" in role
    assert "role/millrace-dev-intents-job" in text
