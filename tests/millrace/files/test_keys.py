"""A refused row is known by its key, whatever else of it could not be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table
from millrace.contract.validate import validate
from millrace.files.parsed import Parsed
from millrace.files.sniff import read_drop

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


def as_csv(path: Path) -> None:
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in ROWS]
    path.write_text("\n".join(["Shop No,day,n", *lines]))


def as_json(path: Path) -> None:
    path.write_text("\n".join(json.dumps(dict(zip(("Shop No", "day", "n"), row, strict=True))) for row in ROWS))


def as_parquet(path: Path) -> None:
    """A number that is none of 64 bits is the only cell of a wrong type that such a column can have."""
    shops, days, numbers = zip(*ROWS, strict=True)
    wide = [2.5 if number == "dear" else number for number in numbers]
    pq.write_table(pa.table({"Shop No": shops, "day": days, "n": pa.array(wide, pa.float64())}), path)


def keys(path: Path, table: Table = TABLE) -> dict[int, str]:
    """By the row's place in the file."""
    parts: list[Parsed] = list(read_drop(path, table))
    refused = [row for part in parts for row in (*part.unparsable, *validate(part.rows, table).refused)]
    return {row.line or 0: row.key for row in refused}


@pytest.mark.parametrize("written", [as_csv, as_json, as_parquet])
def test_a_row_with_a_cell_of_a_wrong_type_has_its_key(written: Callable[[Path], None], tmp_path: Path) -> None:
    written(tmp_path / "drop")
    header = written is as_csv
    assert keys(tmp_path / "drop") == {line + header: key for line, key in KEYS.items()}
