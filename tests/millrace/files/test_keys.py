"""A refused row is known by its key, whatever else of it could not be read."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table
from millrace.contract.validate import validate
from tests.millrace.files.conftest import WRITERS, parse

TABLE = Table(
    name="rows",
    columns=(
        Column(name="shop", kind="string", required=True, physical_name="Shop No"),
        Column(name="day", kind="date", required=True),
        Column(name="n", kind="int64", rules=(Range(maximum=5),)),
    ),
    keys=(("shop", "day"), ("n",)),
)
ROWS = [("a", "2024-05-06", 9), ("b", "2024-05-06", "dear"), ("c", "some day", 3), (None, "2024-05-06", "dear")]
KEYS = {1: "a, 2024-05-06", 2: "b, 2024-05-06", 3: "", 4: ""}


@pytest.mark.parametrize("form", WRITERS)
def test_a_row_with_a_cell_of_a_wrong_type_has_its_key(form: str) -> None:
    rows: list[dict[str, Any]] = [dict(zip(("Shop No", "day", "n"), row, strict=True)) for row in ROWS]
    for row in rows if form == "parquet" else ():
        # Of a column of numbers only one that is no whole number can be of a wrong type.
        row["n"] = 2.5 if row["n"] == "dear" else row["n"]
    parsed = parse(WRITERS[form](rows), TABLE)
    refused = (*parsed.unparsable, *validate(parsed.rows, TABLE).refused)
    assert {(row.line or 0) - (form == "csv"): row.key for row in refused} == KEYS
