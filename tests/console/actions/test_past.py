"""A file through the prediction function of a workload that reads the past: the rows before are taken from the file."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.actions.predict import predict
from millrace.contract.load import load_contract
from millrace.features import catalogue
from millrace.workload.load import load_workload
from tests.console.actions.test_predict import Function

FOLDER = Path("workloads/air_quality")
CONTRACT = load_contract(FOLDER)
FEATURES = catalogue.declare(load_workload(FOLDER).prediction.features, CONTRACT.table("scoring"))
HISTORIES = catalogue.histories(FEATURES)
SAMPLE = pq.read_table(FOLDER / "sample" / "beijing_pm25.parquet").slice(17_000, 60)


def asked() -> Function:
    """A stand-in for Lambda's API that judges rows as the function of this workload does."""
    return Function(contract=CONTRACT, histories=HISTORIES)


def written(path: Path, table: pa.Table) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        lines = [row | {"timestamp": row["timestamp"].isoformat()} for row in table.to_pylist()]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl"])
def test_each_row_is_sent_with_the_rows_before_it(name: str, tmp_path: Path) -> None:
    """In whatever order the file has them; the first hours have no past and say so."""
    order = np.random.default_rng(0).permutation(SAMPLE.num_rows)
    function = asked()
    found = list(predict(function, "f", written(tmp_path / name, SAMPLE.take(order)), CONTRACT, histories=HISTORIES))
    assert [answer.line for answer in found] == list(range(1, 61))
    assert {place for place, answer in zip(order, found, strict=True) if answer.reason == "history"} == set(range(23))
    assert len(function.rows) == 37
    [history] = HISTORIES
    whole = history.encode(history.add_steps(SAMPLE))
    place = {row["timestamp"].isoformat(): number for number, row in enumerate(SAMPLE.to_pylist())}
    for row in function.rows:
        number = place[row["timestamp"]]
        np.testing.assert_array_equal(history.encode_one(row), whole[number])
        assert row["pm2.5"] == SAMPLE["pm2.5"][number].as_py(), "what is predicted ahead is an input too"


def test_a_row_that_breaks_the_contract_is_no_past_of_the_rows_after_it(tmp_path: Path) -> None:
    place = SAMPLE.column_names.index("PRES")
    cells = [float("nan") if number == 30 else cell for number, cell in enumerate(SAMPLE["PRES"].to_pylist())]
    at = SAMPLE["timestamp"][30].as_py().isoformat()
    function, table = asked(), SAMPLE.set_column(place, "PRES", pa.array(cells, pa.float64()))
    found = list(predict(function, "f", written(tmp_path / "x.parquet", table), CONTRACT, histories=HISTORIES))
    assert (found[30].column, found[31].reason) == ("PRES", None)
    assert [len(row["history"]) for row in function.rows if row["timestamp"] > at] == [23] * 24 + [24] * 5


def test_a_line_may_hold_its_past_itself(tmp_path: Path) -> None:
    """As a request does; the rows of a file need no others then."""
    function, path = asked(), written(tmp_path / "rows.jsonl", SAMPLE)
    list(predict(function, "f", path, CONTRACT, histories=HISTORIES))
    whole = function.rows[-5:]
    function.rows, alone = [], tmp_path / "alone.jsonl"
    bad = whole[0] | {"timestamp": "2016-01-01T00:00:00", "history": "none"}
    alone.write_text("".join(f"{json.dumps(row)}\n" for row in [*whole, bad]))
    found = list(predict(function, "f", alone, CONTRACT, histories=HISTORIES))
    assert [(answer.reason, answer.column) for answer in found] == [(None, None)] * 5 + [("type", "history")]
    assert function.rows == whole


def test_after_a_repeated_hour_only_the_repeat_is_refused(tmp_path: Path) -> None:
    """As where the file is dropped to be scored: the rows after it have a past with each hour once."""
    table = pa.concat_tables([SAMPLE.slice(0, 40), SAMPLE.slice(39, 1), SAMPLE.slice(40)])
    function = asked()
    found = list(predict(function, "f", written(tmp_path / "x.parquet", table), CONTRACT, histories=HISTORIES))
    assert [answer.reason for answer in found] == ["history"] * 23 + [None] * 17 + ["duplicate_key"] + [None] * 20
    assert all(len({entry["timestamp"] for entry in row["history"]}) == 24 for row in function.rows[1:])
