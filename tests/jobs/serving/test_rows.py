"""Training and serving see the same row: of each workload's sample, the tensors of a request are those of the table,
bit by bit."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.console.actions.past import Pasts, json_rows
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.contract.validate import validate
from millrace.decisions.endpoint import request_body
from millrace.decisions.road import check_rows, complete
from millrace.features import catalogue
from millrace.features.number import Number
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.jobs.serving.open_inference import OpenInference
from millrace.serving.application import FAILED
from millrace.serving.refusals import Refused
from millrace.serving.rows import MAX_ROWS, RowReader
from millrace.serving.settings import Settings
from millrace.workload.load import load_workload
from tests import builders
from tests.shipped import SHIPPED

READER = RowReader((Number(name="a"), Number(name="b")))
JSON = "application/json"


def body(*rows: object) -> bytes:
    return json.dumps({"rows": rows}).encode()


def sent(rows: list[object], others: object) -> bytes:
    return json.dumps({"rows": rows, "others": others}).encode()


@pytest.mark.parametrize(
    ("row", "other"),
    [
        ({"a": 1, "b": 2}, {}),
        ({"a": 1, "b": 2, "declared since": 3}, {"t": "2020-01-01"}),
        ({"a": 1}, {"b": 2, "t": None}),
        ({"declared since": "x"}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 7}),
    ],
)
def test_a_row_with_others_has_the_features_of_the_version(row: dict[str, object], other: dict[str, object]) -> None:
    """Whatever the declaration calls a feature today."""
    assert READER.read(sent([row, row], [other, other]), JSON).values == [(1, 2)] * 2


@pytest.mark.parametrize(
    ("rows", "others", "error", "where"),
    [
        ([{"a": 1}], [{"c": 2}], "missing feature", "rows[0]"),
        ([{"a": 1, "b": 2}], [], "others", "others"),
        ([{"a": 1, "b": 2}], {}, "others", "others"),
        ([{"a": 1, "b": 2}], [3], "a row is no object", "others[0]"),
        ([[1]], [{}], "a row is no object", "rows[0]"),
    ],
)
def test_others_that_do_not_fit_are_refused_with_their_place(
    rows: list[object], others: object, error: str, where: str
) -> None:
    with pytest.raises(Refused) as refused:
        READER.read(sent(rows, others), JSON)
    assert (refused.value.error, refused.value.where) == (error, where)


@pytest.mark.parametrize(
    ("content", "error", "where"),
    [
        (b"", "no JSON", "body"),
        (b"\xff\xfe", "no JSON", "body"),
        (b"[" * 100_000, "no JSON", "body"),
        (b'{"rows": [{"a": NaN, "b": 1}]}', "no JSON", "body"),
        (b'{"rows": [{"a": ' + b"9" * 5000 + b', "b": 1}]}', "no JSON", "body"),
        (b"[]", "no rows", "body"),
        (b"{}", "no rows", "body"),
        (b'{"rows": {"a": 1, "b": 2}}', "no rows", "body"),
        (b'{"rows": []}', "number of rows", "body"),
        (body({"a": 1, "b": 2}, [1, 2]), "a row is no object", "rows[1]"),
        (body({"a": 1}), "missing feature", "rows[0]"),
        (body({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}), "unknown field", "rows[1]"),
    ],
)
def test_a_body_that_is_not_as_promised_is_refused_with_its_place(content: bytes, error: str, where: str) -> None:
    with pytest.raises(Refused) as refused:
        READER.read(content, JSON)
    assert (refused.value.error, refused.value.where) == (error, where)
    assert refused.value.status == 400
    assert len(refused.value.came) <= 200


@pytest.mark.parametrize(
    ("cells", "column", "came"),
    [
        ('{"a": 1, "b": null}', "b", "null"),
        ('{"a": 1, "b": "2"}', "b", '"2"'),
        ('{"b": 2, "a": true}', "a", "true"),
        ('{"a": [1], "b": 2}', "a", "a list"),
        ('{"a": 1e39, "b": 2}', "a", "1e+39"),
        ('{"a": 1' + "0" * 400 + ', "b": 2}', "a", "a huge number"),
        ('{"a": 1e999, "b": 1}', "a", "Infinity"),
        ('{"a": null, "b": null}', "a", "null"),
    ],
)
def test_a_cell_that_is_no_number_costs_its_own_row(cells: str, column: str, came: str) -> None:
    good = '{"a": 1, "b": 2}'
    told = {1: {"column": column, "expected": "a finite number of float32", "came": came}}
    found = READER.read(f'{{"rows": [{good}, {cells}, {good}]}}'.encode(), JSON)
    assert (found.values, found.rejected) == ([(1, 2)] * 2, told)


def test_a_cell_of_the_contract_goes_before_one_of_the_others() -> None:
    """So null is what the sender means, and the row is rejected."""
    found = READER.read(sent([{"a": 1, "b": None}], [{"b": 2}]), JSON)
    assert found.rejected[0]["column"] == "b"


def test_rows_to_explain_are_those_that_are_answered() -> None:
    rows = [{"a": None, "b": 1}, {"a": 1, "b": 1}]
    assert READER.read(json.dumps({"rows": rows, "explain": True}).encode(), JSON).explained == rows[1:]


def test_too_many_rows_are_too_large() -> None:
    with pytest.raises(Refused) as refused:
        READER.read(body(*[{}] * (MAX_ROWS + 1)), JSON)
    assert refused.value.status == 413


@pytest.mark.parametrize("content_type", ["", "text/csv", "application/x-npy"])
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(Refused) as refused:
        READER.read(body({"a": 1, "b": 2}), content_type)
    assert refused.value.status == 415


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "rows", "id"]), inner),
    max_leaves=8,
)


@given(ANYTHING)
def test_nothing_but_a_refusal_is_ever_raised(document: object) -> None:
    text = json.dumps(document).encode()
    for content in (text, b'{"rows": [' + text + b"]}"):
        with suppress(Refused):
            found = READER.read(content, JSON)
            assert all(math.isfinite(value) for row in found.values for value in row)


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


def serve_open(rows: list[dict[str, Any]], features: catalogue.Features, whole: pa.Table) -> dict[str, Any]:
    """The same tensors, of rows that come by the Open Inference Protocol: each column is a tensor."""
    bodies: list[bytes] = []
    passed = SimpleNamespace(answer=lambda every: [bodies.append(one.body) or FAILED for one in every], refuse=None)
    protocol = OpenInference(passed, builders.description(features=features, digests=None), Settings())
    [described] = protocol.answer([builders.invocation(method="GET", path="/v2/models/model")])
    tensors = []
    for tensor in json.loads(described.body)["inputs"]:
        name, size = tensor["name"], tensor["shape"][1:]
        cells = [row[name] for row in rows] if name in rows[0] and not size else whole[name].to_pylist()
        tensors.append(tensor | {"shape": [len(rows), *size], "data": cells})
    protocol.answer([builders.invocation(json.dumps({"inputs": tensors}).encode(), path="/v2/models/model/infer")])
    reader = RowReader(features)
    return dict(reader.tensors(reader.read(bodies[0], "application/json").values))


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
        {name: cell for name, cell in cells.items() if name in {*table.names} - {*table.derived}} | past.of(row)
        for cells, row in zip(json_rows(plain), plain.to_pylist(), strict=True)
    ]
    served = serve(json.loads(json.dumps(sent)), features, folder)
    trained = catalogue.encode(features, with_past.take(chosen))
    opened = serve_open(sent, features, with_past.take(chosen))
    assert opened.keys() == served.keys() == trained.keys()
    for name, tensor in trained.items():
        for road in (served, opened):
            assert (road[name].dtype, road[name].shape) == (tensor.dtype, tensor.shape)
            assert road[name].tobytes() == tensor.tobytes(), name
