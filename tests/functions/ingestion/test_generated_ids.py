"""Rows without a key or a time of their own through ingestion and validation: their ids are made of file and line."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.console.new.proposal import propose
from millrace.console.new.read import read_source
from millrace.console.new.roles import Choices
from millrace.console.new.writing import write
from millrace.contract.load import load_contract
from millrace.datasets.tables import Lake
from millrace.names import WorkloadNames
from millrace.settings.environment import Environment
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from tests.builders import version
from tests.functions.cold_start import Handler
from tests.functions.ingestion.conftest import Ingest

ROWS = 240
HEAD = "size,kind,label"


def lines(numbers: range) -> bytes:
    text = (f"{n * 37 % 101},{'ab'[n % 2]},{('yes', 'no')[n % 3 > 0]}" for n in numbers)
    return "\n".join([HEAD, *text, ""]).encode()


def ids(body: bytes, numbers: range) -> list[str]:
    """Of the rows on these lines: the first 16 digits of the bytes' SHA-256 and the line."""
    return [f"{hashlib.sha256(body).hexdigest()[:16]}-{line}" for line in numbers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The workload that `new` proposes for such a file."""
    path = tmp_path / "rows.csv"
    path.write_bytes(lines(range(ROWS)))
    choices = Choices(name="unnamed", label="label", has_no_key=True, has_no_event_time=True)
    proposal = propose(read_source(path), choices, today=date(2024, 7, 1))
    return write(proposal, tmp_path / "workloads", tmp_path / "drops", force=False).folder


@pytest.fixture
def drive(
    names: WorkloadNames, cloud: Cloud, load: Callable[[str], Handler], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Ingest:
    """The functions of that workload; a bundle has its folder beside `millrace`, a test has it elsewhere."""
    monkeypatch.setattr(Environment, "folder", property(lambda _: folder))
    monkeypatch.setenv("MILLRACE_WORKLOAD", "unnamed")
    return Ingest(s3=cloud.client("s3"), names=replace(names, workload="unnamed"), load=load)


@pytest.fixture
def table(drive: Ingest, folder: Path) -> Callable[[], list[dict[str, Any]]]:
    """The rows in the dataset, by id."""

    def read() -> list[dict[str, Any]]:
        iceberg = Lake(drive.names, load_contract(folder)).find("rows")
        rows: list[dict[str, Any]] = iceberg.scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda row: int(row["row_id"].rpartition("-")[2]))

    return read


def test_ids_are_those_of_file_and_line_and_bytes_count_once(drive: Ingest, table: Any) -> None:
    body = lines(range(ROWS))
    payload = drive.drop("training", "may.csv", body)
    for function in ("ingestion", "validation"):
        assert drive.step(function, payload) == drive.step(function, payload), "a redrive makes the same ids"
    assert [row["row_id"] for row in table()] == ids(body, range(2, ROWS + 2))
    again = drive.run("training", "june.csv", body)
    assert (again["duplicate"], again["rows_accepted"], again["rows_total"]) == (True, 0, ROWS)
    assert again["duplicate_of"] == payload["state"]["ingestion"]["answer"]["parsed"][0]["source"]
    assert [row["row_id"] for row in table()] == ids(body, range(2, ROWS + 2))


def test_of_two_files_no_id_is_the_same(drive: Ingest, table: Any) -> None:
    """The same rows in other bytes are other rows: without a key nothing says that they are not."""
    one = lines(range(ROWS))
    other = one + b"5,a,yes\n"
    assert drive.run("training", "one.csv", one)["rows_total"] == ROWS
    answer = drive.run("training", "other.csv", other)
    assert (answer["rows_accepted"], answer["rows_quarantined"], answer["rows_total"]) == (ROWS + 1, 0, 2 * ROWS + 1)
    assert {row["row_id"] for row in table()} == {*ids(one, range(2, ROWS + 2)), *ids(other, range(2, ROWS + 3))}


def test_a_line_that_is_no_row_takes_its_number_along(drive: Ingest, table: Any) -> None:
    body = lines(range(ROWS)).replace(b"\n37,b,no\n", b"\nlarge,b,no\n", 1)
    answer = drive.run("training", "may.csv", body)
    assert (answer["rows_accepted"], answer["rows_quarantined"]) == (ROWS - 1, 1)
    assert [row["row_id"] for row in table()] == ids(body, range(2, 3)) + ids(body, range(4, ROWS + 2))
    assert [row["line"] for row in drive.quarantined()] == [3]


def test_rows_to_score_have_such_ids_too(drive: Ingest, cloud: Cloud, folder: Path) -> None:
    ReleasePointers(StateTable(cloud.client("dynamodb"), drive.names)).move(Pointers(champion=version()))
    text, declared = (home := folder / "workload.yaml").read_text(), f"{drive.names.platform.stage}: ml"
    home.write_text(text.replace("local: ml", declared))
    body = b"\n".join(line.rpartition(b",")[0] for line in lines(range(20)).splitlines()) + b"\n"
    payload = drive.drop("scoring", "week.csv", body)
    answers = [[drive.step(function, payload) for function in ("ingestion", "validation")] for _ in range(2)]
    assert answers[0] == answers[1]
    assert (answers[0][1]["accepted"], answers[0][1]["quarantined"]) == (20, 0)
    key = f"unnamed/staging/{payload['run']}/accepted.parquet"
    stored = cloud.client("s3").get_object(Bucket=drive.names.platform.bucket("lake"), Key=key)["Body"].read()
    accepted: pa.Table = pq.read_table(io.BytesIO(stored))
    assert accepted["row_id"].to_pylist() == ids(body, range(2, 22))
