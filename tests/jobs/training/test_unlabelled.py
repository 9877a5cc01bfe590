"""Rows whose label has not come: kept in the table where the contract does not require it, and learnt from later."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from millrace.contract.load import load_contract
from millrace.datasets.examples import Examples, read_examples
from millrace.errors import SnapshotError
from millrace.features import catalogue as encoders
from millrace.workload.load import read_workload
from tests.jobs.conftest import write_snapshot
from tests.jobs.synthetic import ROWS, contract, make_rows, workload

UNLABELLED = 300


def examples_of(folder: Path, *, required: bool) -> Examples:
    declared, rows = contract("regression"), make_rows("regression")
    for entry in declared["schema"]:
        for column in entry["properties"]:
            if column["name"] == "sold":
                column["required"] = required
    labels = rows["sold"].to_pylist()
    labels[:UNLABELLED] = [None] * UNLABELLED
    place = rows.column_names.index("sold")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(labels, rows.schema.field(place).type))
    snapshot = write_snapshot(folder, rows, declared, workload("regression"))
    config = snapshot.config
    declaration, known = read_workload(config / "workload.yaml"), load_contract(config)
    return read_examples(
        snapshot.data,
        config / "schema.json",
        workload=declaration,
        contract=known,
        features=encoders.declare(declaration.prediction.features, known.rows),
    )


def test_they_are_left_out_where_the_contract_does_not_require_a_label(tmp_path: Path) -> None:
    assert examples_of(tmp_path, required=False).table.num_rows == ROWS - UNLABELLED


def test_where_it_does_they_stop_the_training(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=rf"got none in sold: {UNLABELLED} rows"):
        examples_of(tmp_path, required=True)
