"""Columns of a person get the role `protected` and are no features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from console.new.observed import Observed, observe
from console.new.people import why_protected
from console.new.writing import write
from millrace.contract.load import load_contract
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
        ("contact", ["a@x.org", "b@y.de"]),
        ("reach", ["+49 731 123456", "0731/654321"]),
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
        ("product_name", ["Ada", "Bo"]),
        ("stage", ["a", "b"]),
        ("page", [1, 2]),
        ("day", ["2024-01-01x", "2024-02-01x"]),
        ("half", ["a", "f"]),
        ("city", ["Ulm", "Bonn"]),
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
    assert "gender" in proposed(path, keep=("gender",)).surface.features
