"""What is written: a workload that synthesis takes, drops that the contract accepts, nothing over what is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from console.new.writing import as_it_is, cut, write
from millrace.contract.odcs import check_contract
from millrace.errors import ConfigurationError
from millrace.files.sniff import read_drop
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def test_the_workload_is_one_that_synthesis_takes(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    path = as_csv(market)
    here = write(proposed(path), path, tmp_path / "workloads", tmp_path / "drops", pieces=0, force=False)
    workload = load_workload(here.folder)
    contract = check_fit(workload, check_contract(here.folder))
    assert workload.prediction.feature_columns == ("Day.of week", "weekend", "price", "demand", "Half hour")
    assert workload.prediction.positive == "up"
    assert workload.training.first_rows == len(market)
    assert contract.labels.names == ("Half hour", "Trend", "prediction_id")
    rows = sum(part.rows.num_rows for drop in here.drops for part in read_drop(drop, contract.rows))
    assert rows == len(market)
    asked = [part.rows for part in read_drop(here.to_predict, contract.table("scoring"))]
    assert asked[0].num_rows == 5


def test_every_line_that_holds_a_choice_has_a_remark(market: list[Row], as_csv: Writer) -> None:
    lines = proposed(as_csv(market)).workload_yaml.splitlines()
    for word in (
        "positive",
        "key",
        "event_time",
        "first_rows",
        "test_days",
        "baseline",
        "window_days",
    ):
        assert "#" in next(line for line in lines if line.strip().startswith(f"{word}:")), word


def test_what_is_there_is_replaced_only_by_force(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    path, proposal = as_csv(market), proposed(as_csv(market))
    folder = tmp_path / "workloads" / "market"
    folder.mkdir(parents=True)
    (folder / "contract.yaml").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"contract.yaml: NAME: expected nothing there yet, or --force"):
        write(proposal, path, folder.parent, tmp_path / "drops", pieces=0, force=False)
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("contract.yaml", "mine")]
    (folder / "README.md").write_text("kept")
    write(proposal, path, folder.parent, tmp_path / "drops", pieces=0, force=True)
    assert yaml.safe_load((folder / "contract.yaml").read_text())["name"] == "market"
    assert (folder / "README.md").read_text() == "kept"


def test_drops_that_are_there_are_not_mixed_with_new_ones(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    path = as_csv(market)
    write(proposed(path), path, tmp_path / "a", tmp_path / "drops", pieces=3, force=False)
    with pytest.raises(ConfigurationError, match=r"drops: NAME: .* --force"):
        write(proposed(path), path, tmp_path / "b", tmp_path / "drops", pieces=2, force=False)
    again = write(proposed(path), path, tmp_path / "b", tmp_path / "drops", pieces=2, force=True)
    assert sorted((tmp_path / "drops" / "training").iterdir()) == sorted(again.drops)


def test_the_file_itself_is_judged_as_a_drop(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    def said(path: Path) -> str:
        folder = tmp_path / f"for {path.name}"
        return write(proposed(path), path, folder, folder / "drops", pieces=0, force=False).as_it_is

    assert said(as_csv(market)) == ""
    unknown = [row | {"price": row["price"] or "?"} for row in market]
    assert said(as_csv(unknown, name="unknown.csv")).startswith("39 of 1,920 rows quarantined, first line 5: price")
    assert said(as_csv(market, name="tabs.tsv", separator="\t")).startswith("refused whole, foreign: ")


def test_as_it_is_sees_a_row_that_breaks_a_rule(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    path = as_csv(market)
    here = write(proposed(path), path, tmp_path, tmp_path / "drops", pieces=0, force=False)
    contract = check_fit(load_workload(here.folder), check_contract(here.folder))
    worse = as_csv([*market, market[0] | {"Half hour": "1997-01-01", "demand": "999999"}], name="worse.csv")
    assert as_it_is(
        worse, contract
    ) == "1 of 1,921 rows quarantined, first line 1922: demand: expected <= {}, got 999999".format(
        contract.rows.column("demand").rules[0].maximum
    )


@pytest.mark.parametrize(
    ("days", "pieces", "names"),
    [
        (59, 0, ["2024-01", "2024-02"]),
        (20, 0, [f"{number:03}" for number in range(1, 13)]),
        (59, 3, ["001", "002", "003"]),
        (3_000, 0, [f"{number:03}" for number in range(1, 13)]),
    ],
)
def test_rows_are_cut_by_month_or_into_pieces(days: int, pieces: int, names: list[str]) -> None:
    first = datetime.fromisoformat("2024-01-01")
    rows = pa.table({"at": [first + timedelta(days=day) for day in range(days)], "n": list(range(days))})
    found = cut(rows, "at", pieces)
    assert [name for name, _ in found] == names
    assert pa.concat_tables([piece for _, piece in found])["n"].to_pylist() == list(range(days))


def test_drops_carry_the_contracts_types(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    path = as_csv(market)
    here = write(proposed(path), path, tmp_path, tmp_path / "drops", pieces=1, force=False)
    schema = pq.read_schema(here.drops[0])
    assert schema.field("demand").type == pa.int64()
    assert schema.field("weekend").type == pa.bool_()
    assert schema.field("Half hour").type == pa.timestamp("us")
