"""Images without a label wait for a person, who sees them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from localcloud.kernel.cloud import Cloud
from millrace.decisions import captured
from millrace.names import WorkloadNames
from millrace.settings.environment import Environment
from millrace.state.reviews import ReviewQueue
from millrace.timestamps import parse_utc
from tests.builders import parquet
from tests.functions.cold_start import Handler
from tests.functions.ingestion.conftest import Ingest
from tests.kinds import WORKLOADS, scans


def test_a_drawn_image_lies_where_the_images_of_decisions_do(
    names: WorkloadNames, cloud: Cloud, load: Callable[[str], Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = tmp_path / "xray", replace(names, workload="xray")
    shutil.copytree(WORKLOADS / "xray", folder, ignore=shutil.ignore_patterns("sample"))
    workload = yaml.safe_load((folder / "workload.yaml").read_text())
    workload["policy"]["labels_before_model"] = 5
    (folder / "workload.yaml").write_text(yaml.safe_dump(workload))
    before, label, after = (folder / "contract.yaml").read_text().partition("name: label")
    (folder / "contract.yaml").write_text(before + label + after.replace("required: true", "required: false", 1))
    monkeypatch.setattr(Environment, "folder", property(lambda _: folder))
    monkeypatch.setenv("MILLRACE_WORKLOAD", "xray")
    rows = scans().slice(0, 40).drop_columns(["label"])
    Ingest(s3=cloud.client("s3"), names=names, load=load).run("training", "images.parquet", parquet(rows))
    items = ReviewQueue(cloud.client("dynamodb"), names).waiting(most=9, now=parse_utc("1990-01-01"))
    images = {row["id"]: row["image"] for row in rows.to_pylist()}
    found = [(one.key["id"], json.loads(one.input)["image"]["uri"]) for one in items]
    assert [captured.read(cloud.client("s3"), uri) for _, uri in found] == [images[name] for name, _ in found]
    assert len(found) == 5
