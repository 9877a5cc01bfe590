"""What is read off a file, what is guessed, and what is asked for instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from millrace.console.new.kinds import LABEL_KINDS
from millrace.console.new.read import read_source
from millrace.console.new.remarks import notes_of
from millrace.console.new.roles import FEWEST_ROWS
from millrace.console.new.writing import write
from millrace.contract.csv_form import CsvForm
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.contract.validate import validate
from millrace.errors import ConfigurationError
from millrace.files.catalogue import read_drop
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def test_json_lines_give_the_same_contract(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    typed = [
        row
        | {
            "weekend": row["weekend"] == "true",
            "price": float(row["price"]) if row["price"] else None,
            "demand": int(row["demand"]),
        }
        for row in market
    ]
    path = tmp_path / "market.jsonl"
    path.write_text("\n".join([*map(json.dumps, typed), '{"a": ', "[1]"]))
    found = proposed(path)
    assert found.contract == proposed(as_csv(market)).contract
    assert [row.line for row in found.refused] == [1921, 1922]
    assert any("no JSON objects and will be quarantined, 2: 1921, 1922" in note for note in notes_of(found))


def test_a_file_without_names_gets_them_from_the_person(market: list[Row], as_csv: Writer) -> None:
    bare = as_csv(market, header=False)
    assert proposed(bare, label="column_6").accepted.num_rows == len(market)
    years = bare.with_name("years.csv")
    years.write_text(
        "country,2023,2024\n" + "".join(f"{'DE' if at % 3 else 'FR'},{at % 7}.5,{at}\n" for at in range(300))
    )
    assert proposed(years, label="2024").prediction.features == ("country", "2023")
    found = proposed(bare, columns=list(market[0]))
    assert found.contract.csv == CsvForm(columns=tuple(market[0]))
    with pytest.raises(
        ConfigurationError, match=r"--columns: expected a file without a line of names, got '.* in line 1"
    ):
        proposed(as_csv(market), columns=[name.upper() for name in market[0]])
    assert found.contract.columns == proposed(as_csv(market, name="other.csv")).contract.columns
    assert (found.accepted.num_rows, found.refused) == (len(market), ())


def change(rows: Sequence[Row], **cells: Callable[[int], Any]) -> list[Row]:
    return [row | {name: make(at) for name, make in cells.items()} for at, row in enumerate(rows)]


UNEVEN: dict[str, Callable[[int], Any]] = {"price_day": lambda at: f"d{at * at % 7}"}


@pytest.mark.parametrize(
    ("words", "cells", "said"),
    [
        ({"key": ("meter",)}, {}, "--key: expected one of"),
        ({"kind": "images"}, {}, r"--kind: expected binary .* --horizon-hours; images: --from with a folder"),
        ({"kind": "regression"}, {}, r"--kind: expected regression to have a column of numbers, or --kind binary, got"),
        ({"label": "Half hour"}, {}, r"--label: expected .* two classes.*; or a column of numbers"),
        ({"is_in_order": True, "event_time": "Half hour"}, {}, "--rows-in-order: expected no --event-time"),
        ({"keep": ("meter",)}, {}, "--keep: expected columns of the file"),
        ({"name": "My Market"}, {}, "NAME: expected 2 to 24 small letters"),
        ({"label": "price"}, {"price": lambda _: "up"}, r"--label: .* got .price, 'up' in all 1,920 rows: nothing"),
        ({"positive": "sideways"}, {}, r"--positive: expected one of Trend's values \['down', 'up'\]"),
        ({"event_time": "price"}, {}, "--event-time: expected a column of times"),
        ({"key": ("price",)}, {}, "--key: expected columns that always hold"),
        ({"leave_out": ("meter",)}, {}, "--leave-out: expected columns of the file"),
        ({"label": ""}, {}, r"label: expected --label with one of weekend .*; Trend .*got 'no --label'"),
        ({"horizon_hours": 1}, {"Half hour": lambda at: f"1996-05-{at % 28 + 1:02}"}, "key: .*--key Half hour"),
        ({"horizon_hours": 1, "horizon_steps": 2}, {}, "--horizon-steps: expected one of"),
        ({"horizon_steps": 1, "key": ("price_day", "Half hour")}, UNEVEN, "--horizon-steps: expected rows of each key"),
        ({"has_no_key": True}, {"row_id": lambda at: at}, "--no-key: expected no column `row_id`"),
        ({"leave_out": ("Half hour", "price", "demand", "weekend", "Day.of week")}, {}, "features: expected a column"),
    ],
)  # fmt: skip
def test_what_is_not_safe_is_asked_for(
    market: list[Row], as_csv: Writer, words: dict[str, Any], cells: dict[str, Any], said: str
) -> None:
    rows = [{**row, "Trend": row["Trend"]} for row in change(market, **cells)]
    with pytest.raises(ConfigurationError, match=said):
        proposed(as_csv(rows), **words)


@pytest.mark.parametrize(
    ("file", "doubts", "features"),
    [
        ("opened,closed,x,y\n{at},{later},{x},{y}\n", ["event time"], ("x",)),
        ("day,x,y\n{month}/{day}/2024,{x},{y}\n", ["event time"], ("x",)),
        ("a,b,a,y\n{x},c,{x}.5,{y}\n", [], ("a", "a_2")),
        ("2019,2020,y\n{x},{x}.5,{y}\n", [], ("2019", "2020")),
        ("n,y\n'{x},234',{y}\n", [], ("n",)),
        ("at,y\n{at},{x}\n", ["horizon"], ("y",)),
        ("n,y\n{n},{x}\n", ["features"], ("n",)),
    ],
)
def test_a_doubt_is_answered_and_asked_for_on_demand(
    file: str, doubts: list[str], features: tuple[str, ...], tmp_path: Path
) -> None:
    head, row, _ = file.replace("'", '"').split("\n")
    first, lines = datetime.fromisoformat("2023-01-01"), [head]
    for n in range(600):
        at, later = (first + timedelta(hours=hours) for hours in (n, n + n * 7 % 90))
        days = {"month": f"{n * 5 % 12 + 1:02}", "day": f"{n // 12 * 7 % 12 + 1:02}"}
        lines.append(row.format(n=n, at=at, later=later, **days, x=n * n % 101 + 1, y=(n // 3 + n * n) % 2))
    (tmp_path / "file.csv").write_text("\n".join(lines))
    found = proposed(tmp_path / "file.csv", label="y")
    assert [one.field for one in found.reading.source.doubts] == doubts
    assert set(features) <= {*found.features.columns}
    if doubts:
        with pytest.raises(ConfigurationError) as caught:
            proposed(tmp_path / "file.csv", label="y", asks=True)
        assert caught.value.field == doubts[0]


def test_another_decimal_mark_than_the_file_has_is_refused(market: list[Row], as_csv: Writer) -> None:
    path = as_csv([row | {"price": row["price"].replace(".", ",")} for row in market], separator=";")
    with pytest.raises(ConfigurationError, match=r"--decimal: expected ',', with which two columns are numbers, got"):
        proposed_with_decimal(path, ".")
    assert proposed_with_decimal(path, ",") == proposed_with_decimal(path, "") == ","


def proposed_with_decimal(path: Path, decimal: str) -> str:
    return read_source(path, decimal=decimal).csv.decimal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "rows: expected labelled rows"),
        (b"\x1f\x8bzip", "format: expected CSV, TSV, JSON lines or Parquet"),
        (b'{\n  "a": 1\n}\n', r"line 1: expected a JSON object, the whole of it on one line, got 'Expecting property"),
        (b'{"a": 1}\n{"a": 1, "b": 2, "b": 3}\n', "line 2: expected a JSON object, got \"the field 'b' twice"),
        (b'{"a": 1}\n{"a": NaN}\n', "line 2: expected a JSON object, got .NaN, which is not JSON: null means"),
        (b'{"a": 1, "\\u0085": 2}\n', "columns: expected names that can be printed, got"),
        (b"PAR1 and no more", "format: expected a readable Parquet file"),
        (b"Sales 2024,,\na,b,c\n1,2,3\n", "columns: expected names in line 1; if it is a title, take it out"),
        (b"a,y\n" + b"1,0\n2,1\n" * 20, f"rows: expected {FEWEST_ROWS} labelled rows or more, got 40"),
    ],
)
def test_what_holds_no_rows_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    with pytest.raises(ConfigurationError, match=f"^file: {said}"):
        proposed(path)


def test_what_no_model_reads_may_be_missing_and_hold_anything(
    market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    rows = [row | {"gender": "fm"[at % 2], "refund": 9.5 * (row["Trend"] == "up")} for at, row in enumerate(market)]
    rows[5]["refund"] = 1e9
    found = proposed(as_csv(rows))
    assert found.may_be_missing == ("gender", "refund")
    assert found.refused == (), "the far value of a column that gives the label away"
    assert not [note for note in notes_of(found) if "refund" in note]
    table = load_contract(write(found, tmp_path / "workloads", tmp_path / "drops", force=False).folder).rows
    for name in found.may_be_missing:
        assert (table.column(name).required, table.column(name).rules) == (False, ())
    assert table.column("demand").required
    less = as_csv([{name: row[name] for name in row if name not in found.may_be_missing} for row in rows])
    (part,) = read_drop(less, table)
    assert validate(part.rows, table).accepted.num_rows == len(rows), "a file without the columns"
    cells = part.rows.slice(0, 1).to_pylist()[0]
    request = {name: cells[name].isoformat() if name == "Half hour" else cells[name] for name in ("Half hour", "price")}
    assert {one.column for one in check_row(request, table)} == {"Day.of week", "weekend", "demand", "Trend"}


@pytest.mark.parametrize(
    ("hours", "every", "listed"),
    [(3, 1, [1, 2, 3]), (2, 0.5, [0.5, 1, 1.5, 2]), (96, 1, [*range(2, 97, 2)]), (97, 1, [*range(1, 98, 3)])],
)
def test_a_forecast_is_asked_at_every_step_up_to_its_horizon(hours: float, every: float, listed: list[float]) -> None:
    assert LABEL_KINDS["forecast"].horizon(hours, every) == listed
    assert LABEL_KINDS["interval"].horizon(hours, every) == hours
