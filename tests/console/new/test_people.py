"""Columns of a person get the role `protected` and are no features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from console.new.columns import Observed, observe
from console.new.words import why_protected
from console.new.writing import write
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.contract.validate import validate
from millrace.files.sniff import read_drop
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def column(name: str, cells: list[object]) -> Observed:
    found = observe(name, pa.chunked_array([pa.array(cells)]), typed_text=False)
    assert isinstance(found, Observed)
    return found


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("sex", ["x", "y"]),
        ("customerAge", [31, 42]),
        ("marital_status", ["a", "b"]),
        ("native-country", ["a", "b"]),
        ("E-mail", ["a", "b"]),
        ("name", ["Ada", "Bo"]),
        ("Last Name", ["Ada", "Bo"]),
        ("Driver name", ["Ada", "Bo"]),
        ("teacherName", ["Ada", "Bo"]),
        ("Alter (Jahre)", [31, 42]),
        ("Geschlecht", ["a", "b"]),
        ("Straße", ["a", "b"]),
        ("Nombre", ["Ada", "Bo"]),
        ("Âge du client", [31, 42]),
        ("PRÉNOM", ["Ada", "Bo"]),
        ("fecha_de_nacimiento", ["a", "b"]),
        ("Dirección", ["a", "b"]),
        ("contact", ["a@x.org", "b@y.de"]),
        ("reach", ["+49 731 123456", "0731/654321"]),
        ("reach", ["+49 (731) 123-45-67", "+1 (202) 555-01-23"]),
        ("who", ["Male", "Female"]),
        ("kin", ["Husband", "Wife", "Other"]),
    ],
)
def test_a_column_of_a_person_is_known_by_its_name_or_its_cells(name: str, cells: list[object]) -> None:
    assert why_protected(column(name, cells))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("usage", [1, 2]),
        ("account", ["10000000000000000007", "10000000000000000012"]),
        ("product_name", ["Ada", "Bo"]),
        ("driver version", ["a", "b"]),
        ("stage", ["a", "b"]),
        ("page", [1, 2]),
        ("day", ["2024-01-01x", "2024-02-01x"]),
        ("half", ["a", "f"]),
        ("city", ["Ulm", "Bonn"]),
        ("Größe", [1, 2]),
        ("alternative", [1, 2]),
        ("Verkehr", [1, 2]),
        ("nombre", [1, 2]),
    ],
)
def test_other_columns_are_not_of_a_person(name: str, cells: list[object]) -> None:
    assert why_protected(column(name, cells)) == ""


def test_it_is_in_the_contract_and_a_feature_only_where_it_is_kept(
    market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    path = as_csv([row | {"gender": "fm"[at % 2]} for at, row in enumerate(market)])
    found = proposed(path)
    assert {one.name: one.reason for one in found.no_features}["gender"] == "of a person (--keep gender takes it)"
    here = write(found, path, tmp_path / "workloads", tmp_path / "drops", pieces=1, force=False)
    assert [one.name for one in load_contract(here.folder).rows.columns if one.is_protected] == ["gender"]
    assert "gender" in proposed(path, keep=("gender",)).prediction.features


def test_what_no_model_reads_may_be_missing_and_hold_anything(
    market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    rows = [row | {"gender": "fm"[at % 2], "refund": 9.5 * (row["Trend"] == "up")} for at, row in enumerate(market)]
    rows[5]["refund"] = 1e9
    path = as_csv(rows)
    found = proposed(path)
    assert found.may_be_missing == ("gender", "refund")
    assert found.refused == (), "the far value of a column that gives the label away"
    assert not [note for note in found.notes if "refund" in note]
    here = write(found, path, tmp_path / "workloads", tmp_path / "drops", pieces=1, force=False)
    table = load_contract(here.folder).rows
    for name in found.may_be_missing:
        assert (table.column(name).required, table.column(name).rules) == (False, ())
    assert table.column("demand").required
    less = as_csv([{name: row[name] for name in row if name not in found.may_be_missing} for row in rows])
    (part,) = read_drop(less, table)
    assert validate(part.rows, table).accepted.num_rows == len(rows), "a file without the columns"
    cells = part.rows.slice(0, 1).to_pylist()[0]
    request = {name: cells[name].isoformat() if name == "Half hour" else cells[name] for name in ("Half hour", "price")}
    assert {one.column for one in check_row(request, table)} == {"Day.of week", "weekend", "demand", "Trend"}
