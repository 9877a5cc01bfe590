"""A drop that breaks a rule on the whole drop is held: nothing of it is anywhere until a person decides."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from localcloud.kernel.cloud import Cloud
from millrace.names import WorkloadNames
from millrace.state.held_drops import HeldDrop
from millrace.state.table import StateTable
from tests.functions.ingestion.test_ingest import csv, month
from tests.millrace.datasets.conftest import WORKLOAD


@pytest.fixture(autouse=True)
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "workloads" / "electricity"
    shutil.copytree(WORKLOAD, folder)
    document = yaml.safe_load((folder / "contract.yaml").read_text())
    document["schema"][0]["quality"] = [{"metric": "rowCount", "mustBeGreaterThan": 100}]
    (folder / "contract.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(folder.parent))


def test_a_drop_waits_for_a_person_whose_word_holds_when_it_comes_again(
    ingest: Any, sample: pa.Table, cloud: Cloud, names: WorkloadNames
) -> None:
    state, rows = StateTable(cloud.client("dynamodb"), names), month(sample, 1996, 5)
    drops = {"few": csv(rows.slice(0, 90)), "fewer": csv(rows.slice(90, 80))}
    for name, content in drops.items():
        first, again = (ingest.run("training", name, content, requester="account 1") for _ in range(2))
        assert (first["held"], again["held"], first["sent_by"]) == ("held", "again", "account 1")
        assert first["held_for"].startswith("rowCount must be greater than 100 rows, came ")
        assert (first["rows_accepted"], first["rows_quarantined"]) == (0, 0)
    assert ingest.quarantined() == []
    held = {one.object.key.rpartition("/")[2]: one for one in HeldDrop.every(state).values()}
    held["few"].decide(state, "accepted", by="ann", reason="the meter was new")
    held["fewer"].decide(state, "refused", by="bob", reason="half a day is missing")
    found = [ingest.run("training", name, drops[name]) for name in ("few", "few", "fewer")]
    assert [(one["held"], one["rows_accepted"]) for one in found] == [("", 90), ("", 90), ("refused", 0)]
    assert found[2]["held_for"] == "bob: half a day is missing"
    assert {one.status for one in HeldDrop.every(state).values()} == {"accepted", "refused"}
