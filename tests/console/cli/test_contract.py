"""`millrace contract`: files and changes beside a contract, without a cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from tests.shipped import WORKLOADS

HOME = WORKLOADS / "electricity"


def told(*words: object, code: int) -> Any:
    done = CliRunner().invoke(app, ["contract", *map(str, words), "--workload", "electricity", "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_a_whole_file_is_judged_as_ingestion_would(tmp_path: Path) -> None:
    pc.write_csv(pq.read_table(HOME / "sample" / "elec2.parquet").slice(0, 5200), file := tmp_path / "may.csv")
    good, lines = file.read_text(), file.read_text().splitlines()
    assert told("check", file, code=0) == []
    # A line behind the first part repeats the key of one in it.
    lines[5150] = lines[1]
    lines[7] = lines[7].rpartition(",")[0] + ",x"
    file.write_text("\n".join(lines))
    found = [(one["reason"], one["rows"], one["first"][:10]) for one in told("check", file, code=1)]
    assert found == [("type", 1, "line 8: cl"), ("duplicate_key", 1, "line 5151:")]
    file.write_text(good.replace("vicprice", "price", 1))
    assert [one["reason"] for one in told("check", file, code=1)] == ["columns"]


DOUBLE = "number\n        physicalType: DOUBLE"


@pytest.mark.parametrize(
    ("old", "new", "change", "code"),
    [
        ("name: period", "name: half_hour", ["added", "removed"], 0),
        ("INTEGER\n", "BIGINT\n", ["narrowed"], 0),
        (DOUBLE, "number\n        physicalType: FLOAT", ["widened"], 0),
        (DOUBLE, "integer", ["retyped"], 1),
    ],
)
def test_two_contracts_are_compared(tmp_path: Path, old: str, new: str, change: list[str], code: int) -> None:
    text = (HOME / "contract.yaml").read_text()
    (before := tmp_path / "contract.yaml").write_text(text.replace(old, new, 1))
    assert [one["change"] for one in told("diff", before, code=code)] == change
