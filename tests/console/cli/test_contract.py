"""`millrace contract`: files and changes beside a contract, and changes beside the tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from localcloud.kernel.cloud import Cloud
from millrace.console.cli.app import app
from millrace.console.environment import Environment
from millrace.console.queries.stored import changes_of_tables
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from tests.millrace.datasets import conftest
from tests.millrace.datasets.test_commits import rows, source
from tests.shipped import WORKLOADS

HOME = WORKLOADS / "electricity"
names, lake = conftest.names, conftest.lake


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


def test_a_change_is_told_with_the_field_id_of_its_column(lake: Lake, cloud: Cloud) -> None:
    environment = Environment(platform=lake.names.platform, client=cloud.client)
    assert not [*changes_of_tables(environment, lake.names, lake.contract)], "the first drop will make the tables"
    commit(lake, "rows", rows(0), source("a"))
    columns = [replace(one, name="half_hour", formerly="period") if one.name == "period" else one
               for one in lake.contract.rows.columns]  # fmt: skip
    renamed = replace(lake.contract, rows=replace(lake.contract.rows, columns=tuple(columns)))
    [(table, found, field_id)] = changes_of_tables(environment, lake.names, renamed)
    assert (table, found.name, found.change, found.before, field_id) == ("rows", "half_hour", "renamed", "period", 3)
