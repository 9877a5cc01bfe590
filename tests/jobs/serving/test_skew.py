"""Training and serving see the same row: of each workload's sample, the tensors of a request are those of the table,
bit by bit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.actions.past import Pasts, json_rows
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.contract.validate import validate
from millrace.decisions.endpoint import request_body
from millrace.decisions.road import check_rows, complete
from millrace.features import catalogue
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.jobs.serving.rows import RowReader
from millrace.workload.load import load_workload
from tests.shipped import SHIPPED

FOLDERS = {folder.name: folder for folder in SHIPPED}
MOST, COMPARED = 6_000, 150
"""Rows of a sample that are read, and those that are sent."""


def rows_of(folder: Path) -> pa.Table:
    """The first rows of the sample, by the road of a drop."""
    contract = load_contract(folder)
    [sample] = (folder / "sample").iterdir()
    parts: list[pa.Table] = []
    origin = Origin(name=sample.name, at=datetime.now(UTC), digest="0" * 64, fetch=lambda *_: b"")
    for part in read_drop(sample, contract.table("training"), origin=origin):
        parts.append(validate(part.rows, contract.table("training")).accepted.drop_columns([LINE]))
        if sum(one.num_rows for one in parts) >= MOST:
            break
    return pa.concat_tables(parts).slice(0, MOST)


def serve(rows: list[dict[str, Any]], features: catalogue.Features, folder: Path) -> dict[str, Any]:
    """The tensors that the container makes of rows as a caller sends them."""
    table, histories = load_contract(folder).table("scoring"), catalogue.histories(features)
    completed = complete(rows, table, histories, at=datetime.now(UTC), ids=[f"a-{row}" for row in range(len(rows))])
    admitted, rejected = check_rows(completed, table, histories)
    assert not rejected
    inputs = list(dict.fromkeys(name for encoder in features for name in encoder.inputs))
    reader = RowReader(features)
    return dict(reader.tensors(reader.read(request_body(admitted, inputs), "application/json").values))


@pytest.mark.parametrize("workload", FOLDERS)
def test_a_request_has_the_bits_of_the_table(workload: str, tmp_path: Path) -> None:
    folder = FOLDERS[workload]
    table = load_contract(folder).table("scoring")
    declared = catalogue.declare(load_workload(folder).prediction.features, table)
    rows = rows_of(folder)
    with_past = catalogue.add_histories(declared, rows)
    features = catalogue.fit(declared, with_past)
    whole = np.logical_and.reduce([encoder.takes(with_past) for encoder in features])
    for history in catalogue.histories(features):
        whole &= ~history.is_too_short(rows)
    whole_K = np.flatnonzero(whole)
    chosen = whole_K[np.unique(np.linspace(0, len(whole_K) - 1, COMPARED, dtype=np.int64))]
    assert len(chosen) == COMPARED

    past, plain = Pasts(rows, catalogue.histories(features)), rows.take(chosen)
    sent = [
        {name: cell for name, cell in cells.items() if name in table.names} | past.of(row)
        for cells, row in zip(json_rows(plain), plain.to_pylist(), strict=True)
    ]
    served = serve(json.loads(json.dumps(sent)), features, folder)
    trained = catalogue.encode(features, with_past.take(chosen))
    assert served.keys() == trained.keys()
    for name, tensor in trained.items():
        assert (served[name].dtype, served[name].shape) == (tensor.dtype, tensor.shape)
        assert served[name].tobytes() == tensor.tobytes(), name
