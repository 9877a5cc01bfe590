"""What is read off a file, what is guessed, and what is asked for instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from console.new.columns import Observed, observe
from console.new.read import read_source
from console.new.roles import FEWEST_ROWS, Guesser
from console.new.words import is_identifier
from millrace.contract.csv_form import CsvForm
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column
from millrace.contract.time_format import TimeFormat
from millrace.errors import ConfigurationError
from millrace.workload.declaration import Workload
from tests.console.new.conftest import Row, proposed, written

Writer = Callable[..., Path]


def minimum(column: Column) -> object:
    found = column.find(Range)
    return found and found.minimum


def test_the_columns_of_a_csv_file_get_types_rules_and_roles(market: list[Row], as_csv: Writer) -> None:
    found = proposed(as_csv(market))
    half_hour, day, weekend, price, demand, trend = found.contract.columns
    assert half_hour == Column(
        name="Half hour", kind="timestamp", required=True, rules=(Range(minimum=datetime.fromisoformat("1986-01-01")),)
    )
    assert (day.kind, len(day.allowed), day.required) == ("string", 7, True)
    assert (weekend.kind, weekend.required) == ("boolean", True)
    assert (price.kind, price.rules, price.required) == ("float64", (Range(minimum=0, maximum=1),), False)
    assert (demand.kind, minimum(demand)) == ("int64", 0)
    assert trend == Column(name="Trend", kind="string", required=True, label=True, rules=(Allowed(("down", "up")),))
    assert found.prediction.features == ("Day.of week", "weekend", "price", "demand")
    assert (found.prediction.event_time, found.prediction.key) == ("Half hour", ("Half hour",))
    assert found.accepted.num_rows == len(market)
    assert not found.refused


@pytest.mark.parametrize(
    ("words", "has_pieces"),
    [({}, False), ({"has_no_event_time": True}, True), ({"is_in_order": True}, False)],
)
def test_numbers_are_cut_into_pieces_where_no_later_rows_go_beyond_them(
    market: list[Row], as_csv: Writer, words: dict[str, Any], has_pieces: bool
) -> None:
    rows = [{name: cell for name, cell in row.items() if name != "Half hour" or not words} for row in market]
    found = proposed(as_csv(rows), has_no_key=bool(words), **words)
    assert ("numbers: piecewise_linear" in found.workload_yaml) is has_pieces


def test_numbers_have_slack_on_both_sides_but_not_below_nothing(market: list[Row], as_csv: Writer) -> None:
    cold = [row | {"degrees": str(-10 + at % 41), "pressure": str(900 + at % 101)} for at, row in enumerate(market)]
    columns = {column.name: column for column in proposed(as_csv(cold)).contract.columns}
    assert columns["degrees"].rules == (Range(minimum=-20, maximum=40),)
    assert columns["pressure"].rules == (Range(minimum=875, maximum=1025),)
    assert minimum(columns["demand"]) == 0


def test_each_guess_has_its_reason_and_the_runners_up(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"reading_id": str(7000 + at)} for at, row in enumerate(uneven(market))]
    found = proposed(as_csv(rows))
    assert found.guesses["positive"].reason.startswith("it is the rarer of the two")
    even = [row | {"Trend": ("down", "up")[at % 2]} for at, row in enumerate(market)]
    guess = proposed(as_csv(even)).guesses["positive"]
    assert (guess.value, guess.others) == ("up", ("down",))
    assert guess.reason == "both come in 960 rows, and it is the last in order (--positive says otherwise)"
    assert found.guesses["key"].value == ("reading_id",)
    assert found.guesses["key"].others == ("Half hour",)
    assert "two rows may have one time some day" in found.guesses["key"].reason
    assert {one.name: one.reason for one in found.no_features} == {
        "reading_id": "different in each row: it only numbers them"
    }


def uneven(market: list[Row]) -> list[Row]:
    """The same rows, each up to nine minutes later."""
    first = [datetime.fromisoformat(row["Half hour"]) for row in market]
    return [
        row | {"Half hour": str(time + timedelta(minutes=at * 7 % 10))}
        for at, (time, row) in enumerate(zip(first, market, strict=True))
    ]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("Kunden-Nr", "K{:05}"), ("invoiceNumber", "{}"), ("Parcel", "AB-{:04}/x"), ("ticket", "{}"),
    ],
)  # fmt: skip
def test_a_column_that_names_rows_is_a_better_key_than_an_uneven_time(
    market: list[Row], as_csv: Writer, name: str, cell: str
) -> None:
    def named(rows: list[Row]) -> list[Row]:
        return [row | {name: cell.format(at + 1)} for at, row in enumerate(rows)]

    uneven_rows = proposed(as_csv(named(uneven(market)))).guesses["key"]
    assert (uneven_rows.value, uneven_rows.others) == ((name,), ("Half hour",))
    series = proposed(as_csv(named(market))).guesses["key"]
    # Of things that a clock lists the distances may be equal too: a column called like an identifier names them.
    taken, other, reason = "Half hour", name, "equal distances"
    if is_identifier(name):
        taken, other, reason = name, "Half hour", "names a row better"
    assert (series.value, series.others) == ((taken,), (other,))
    assert reason in series.reason


@pytest.mark.parametrize("words", [{}, {"has_no_key": True}, {"key": ("parcel",)}])
def test_a_repeated_row_makes_no_feature_of_a_number_that_tells_rows_apart(
    market: list[Row], as_csv: Writer, words: Any
) -> None:
    """As a feature it would be known in a range, out of which every later row is."""
    rows = [row | {"parcel": str(7000 + at)} for at, row in enumerate(uneven(market))]
    if "key" in words:  # and a row that was sent once more, corrected
        rows.append(rows[-1] | {"parcel": "7000"})
    found = proposed(as_csv([*rows[:40], *rows[30:]]), **words)
    assert {one.name: one.reason for one in found.no_features}["parcel"] == (
        "different in each row: it only numbers them"
    )
    assert found.contract.column("parcel").find(Range) in (None, Range(minimum=0))
    key = found.guesses["key"]
    assert key.value == (("row_id",) if words.get("has_no_key") else ("parcel",))
    assert words or key.reason.startswith("each parcel comes once, but for 10 rows that will be quarantined")


def test_a_label_ahead_wants_the_event_time_in_the_key(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"load": float(row["demand"])} for row in market]
    with pytest.raises(ConfigurationError, match=r"--no-key: expected --key Half hour, .*--horizon-hours"):
        proposed(as_csv(rows), label="load", horizon_hours=1, has_no_key=True)


def test_a_horizon_in_steps_is_counted_in_the_rows_of_the_series(market: list[Row], as_csv: Writer) -> None:
    rows = [{**row, "load": row["demand"]} for row in market]
    found = proposed(as_csv(rows), label="load", horizon_steps=48)
    assert found.prediction.horizon_hours == 24
    assert "horizon_hours: 24.0" in found.workload_yaml


def test_a_row_of_the_far_future_is_refused_as_in_a_drop(market: list[Row], as_csv: Writer) -> None:
    rows = [*market, market[-1] | {"Half hour": "9999-12-31 23:00:00"}]
    found = proposed(as_csv(rows))
    assert [row.violations[0].column for row in found.refused] == ["Half hour"]


@pytest.mark.parametrize(
    "make",
    [lambda at: f"said {at}", lambda at: f"c{at}@mail.example", lambda at: at * (-1) ** at * 1009, lambda at: at / 7],
)
def test_other_unique_columns_name_no_rows(market: list[Row], as_csv: Writer, make: Callable[[int], Any]) -> None:
    rows = [row | {"remark": make(at)} for at, row in enumerate(uneven(market))]
    assert proposed(as_csv(rows)).prediction.key == ("Half hour",)


@pytest.mark.parametrize(("separator", "name"), [("\t", "market.tsv"), (";", "market.csv"), ("|", "market.txt")])
def test_other_separators_are_read_and_said(market: list[Row], as_csv: Writer, separator: str, name: str) -> None:
    found = proposed(as_csv(market, name=name, separator=separator))
    assert found.contract == replace(
        proposed(as_csv(market, name="commas.csv")).contract, csv=CsvForm(delimiter=separator)
    )
    assert found.accepted.num_rows == len(market)
    assert f"separated by {separator!r}" in found.notes[0]


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
    path.write_text("\n".join(map(json.dumps, typed)))
    assert proposed(path).contract == proposed(as_csv(market)).contract


def test_a_file_without_names_gets_them_from_the_person(market: list[Row], as_csv: Writer) -> None:
    bare = as_csv(market, header=False)
    with pytest.raises(ConfigurationError, match=r"line 1: expected the names of the columns \(or --columns"):
        proposed(bare)
    found = proposed(bare, columns=list(market[0]))
    assert found.contract.csv == CsvForm(columns=tuple(market[0]))
    with pytest.raises(
        ConfigurationError, match=r"--columns: expected a file without a line of names, got '.* in line 1"
    ):
        proposed(as_csv(market), columns=[name.upper() for name in market[0]])
    assert found.contract.columns == proposed(as_csv(market, name="other.csv")).contract.columns
    assert (found.accepted.num_rows, found.refused) == (len(market), ())


@pytest.mark.parametrize("word", ["?", "NA", "n/a", "NULL", "nan", "-"])
def test_words_for_nothing_are_taken_as_missing_and_said(market: list[Row], as_csv: Writer, word: str) -> None:
    found = proposed(as_csv([row | {"price": row["price"] or word} for row in market]))
    price = found.contract.column("price")
    assert (price.kind, price.required) == ("float64", False)
    assert f"price: 39 cells {word!r} taken as missing (2.0%)" in found.notes
    assert price.missing_words == (word,)
    assert (found.accepted["price"].null_count, found.refused) == (39, ())


def test_codes_with_leading_zeros_stay_text(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"zip": ("01234", "99100", "00501")[at % 3]} for at, row in enumerate(market)]
    assert proposed(as_csv(rows)).contract.column("zip").allowed == ("00501", "01234", "99100")


def with_remarks(market: list[Row]) -> list[Row]:
    return [row | {"remark": f"sold at {row['demand']} MW for {row['price']}"} for row in market]


def test_the_words_of_free_text_are_a_feature(market: list[Row], as_csv: Writer) -> None:
    found = proposed(as_csv(with_remarks(market)))
    assert found.contract.column("remark").find(Length)
    workload = Workload.model_validate(yaml.safe_load(found.workload_yaml))
    assert {one.name: one.encoder for one in workload.prediction.features}["remark"] == "text"
    assert workload.training.family == "multimodal"
    assert workload.gates.simple is not None
    assert workload.gates.simple.kind == "linear", "trees take no words"
    assert found.prediction.key != ("remark",)


def test_free_text_beside_a_history_is_a_feature(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"load": float(row["demand"])} for row in with_remarks(market)]
    found = proposed(as_csv(rows), label="load", horizon_hours=1)
    assert found.prediction.texts == ("remark",)
    assert "family: multimodal" in found.workload_yaml


def test_text_of_many_values_and_few_words_is_no_feature(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"code": f"{row['demand']}-{at // 2}"} for at, row in enumerate(market)]
    found = proposed(as_csv(rows))
    [reason] = [one.reason for one in found.no_features if one.name == "code"]
    assert reason.endswith("values, too short for sentences and too many for categories")


def test_a_label_is_guessed_where_nothing_else_can_be_one(market: list[Row], as_csv: Writer) -> None:
    alone = [{name: cell for name, cell in row.items() if name != "weekend"} for row in market]
    assert (
        proposed(as_csv(alone), label="").guesses["label"].reason.startswith("the only column of two classes, and the")
    )
    called = [{"Is Fraud": at % 2, **row} for at, row in enumerate(market)]
    guess = proposed(as_csv(called), label="").guesses["label"]
    assert (guess.value.name, guess.others) == ("Is Fraud", ("Day.of week", "weekend", "price", "demand", "Trend"))


def test_other_notations_of_time_are_read_where_they_mean_one_time(market: list[Row], as_csv: Writer) -> None:
    european = [
        row | {"Half hour": datetime.fromisoformat(row["Half hour"]).strftime("%d.%m.%Y %H:%M")} for row in market
    ]
    found = proposed(as_csv(european))
    assert found.accepted["Half hour"][0].as_py() == datetime.fromisoformat("1996-05-07")
    assert "Half hour: its times are written as dd.MM.yyyy HH:mm" in found.notes
    assert found.contract.column("Half hour").time_format == TimeFormat("dd.MM.yyyy HH:mm")


@pytest.mark.parametrize("written", ["{0} Q{1}", "{0}-Q{1}", "Q{1} {0}", "{0}Q{1}"])
def test_quarters_are_times(written: str) -> None:
    texts = [written.format(1950 + at // 4, 1 + at % 4) for at in range(240)]
    found = observe("quarter", pa.chunked_array([texts]), typed_text=True)
    assert isinstance(found, Observed)
    assert found.is_time
    assert found.cells[5].as_py() == date(1951, 4, 1)


def test_a_day_that_may_be_a_month_is_asked_for(market: list[Row], as_csv: Writer) -> None:
    first = datetime.fromisoformat("2024-01-01")
    rows = [
        row | {"Half hour": (first + timedelta(days=31 * (at % 12) + at // 12 % 12)).strftime("%d/%m/%Y")}
        for at, row in enumerate(market)
        if (first + timedelta(days=31 * (at % 12) + at // 12 % 12)).day <= 12
    ]
    with pytest.raises(ConfigurationError, match="'dd/MM/yyyy' or 'MM/dd/yyyy': --time-format says which"):
        proposed(as_csv(rows))
    table = proposed(as_csv(rows), time_format="dd/MM/yyyy", has_no_key=True).accepted
    assert table["Half hour"][0].as_py() == datetime.fromisoformat("2024-01-01")


def test_a_time_format_is_that_of_the_columns_that_it_reads(market: list[Row], as_csv: Writer) -> None:
    """Numbers stay numbers, and words words."""
    rows = [row | {"Half hour": datetime.fromisoformat(row["Half hour"]).strftime("%d.%m.%Y %H:%M")} for row in market]
    found = proposed(as_csv(rows), time_format="dd.MM.yyyy HH:mm")
    assert found.contract == proposed(as_csv(rows)).contract
    assert found.contract.column("price").kind == "float64"
    with pytest.raises(ConfigurationError, match="--time-format: expected a column of times that are written so, or"):
        proposed(as_csv(rows), time_format="yyyy/MM/dd")


def test_times_in_two_notations_are_told(market: list[Row], as_csv: Writer) -> None:
    rows = [
        row
        if at % 10 == 3
        else row | {"Half hour": datetime.fromisoformat(row["Half hour"]).strftime("%d.%m.%Y %H:%M")}
        for at, row in enumerate(market)
    ]
    with pytest.raises(ConfigurationError) as told:
        proposed(as_csv(rows), event_time="Half hour")
    of = f"{len(range(3, len(rows), 10)):,} of {len(rows):,} cells are no times in dd.MM.yyyy HH:mm: '1996-05-07"
    assert of in str(told.value)
    assert "--time-format 'dd/MM/yyyy HH:mm'" in str(told.value), "a pattern that the option takes"


def test_milliseconds_are_no_times(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"ms": 1_700_000_000_000 + at} for at, row in enumerate(market)]
    with pytest.raises(ConfigurationError, match="seconds or milliseconds since 1970 are none"):
        proposed(as_csv(rows), event_time="ms")


def test_dates_are_event_times_at_midnight(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"Half hour": row["Half hour"][:10], "meter": str(at % 48)} for at, row in enumerate(market)]
    found = proposed(as_csv(rows), key=("meter", "Half hour"))
    assert found.contract.column("Half hour").kind == "timestamp"
    assert found.contract.keys == (("meter", "Half hour"),)


def test_a_key_at_a_time_is_found(market: list[Row], as_csv: Writer) -> None:
    rows = [
        row | {"meter_id": f"m{at % 4}", "Half hour": market[at // 4]["Half hour"]} for at, row in enumerate(market)
    ]
    found = proposed(as_csv(rows))
    assert found.prediction.key == ("meter_id", "Half hour")
    assert "meter_id" in found.prediction.features


@pytest.mark.parametrize(
    ("words", "generated", "split"),
    [({"has_no_event_time": True}, "event_time", "key_hash"), ({"is_in_order": True}, "row_order", "row_order")],
)
def test_without_time_and_key_both_are_generated_and_said(
    market: list[Row], as_csv: Writer, words: dict[str, bool], generated: str, split: str
) -> None:
    rows = [{name: cell for name, cell in row.items() if name != "Half hour"} for row in market]
    found = proposed(as_csv(rows), has_no_key=True, **words)
    assert (found.prediction.event_time, found.prediction.key) == ("observed_at", ("row_id",))
    assert not {"observed_at", "row_id"} & set(found.prediction.features)
    assert any("`observed_at` is generated" in note for note in found.notes)
    made = {column.name: column.generated for column in found.contract.columns if column.is_generated}
    assert made == {"observed_at": generated, "row_id": "row_id"}
    assert f"split: {{by: {split}" in found.workload_yaml
    assert len(found.accepted["row_id"].unique()) == len(rows)
    if generated == "row_order":
        assert found.accepted["_line"].to_pylist() == list(range(2, len(rows) + 2))


def test_rows_that_the_contract_refuses_are_told_with_their_lines(market: list[Row], as_csv: Writer) -> None:
    rows = [*market, market[5], market[6] | {"Half hour": "1996-07-01", "Trend": ""}]
    found = proposed(as_csv(rows), key=("Half hour",))
    assert [(row.line, row.reason) for row in found.refused] == [(1922, "duplicate_key"), (1923, "required")]
    assert found.accepted.num_rows == len(market)


def change(rows: Sequence[Row], **cells: Callable[[int], Any]) -> list[Row]:
    return [row | {name: make(at) for name, make in cells.items()} for at, row in enumerate(rows)]


UNEVEN: dict[str, Callable[[int], Any]] = {"price_day": lambda at: f"d{at * at % 7}"}


@pytest.mark.parametrize(
    ("words", "cells", "said"),
    [
        ({"kind": "images"}, {}, r"--kind: expected binary .* --horizon-hours; images: --from with a folder"),
        ({"kind": "regression"}, {}, r"--kind: expected regression to have a column of numbers, or --kind binary, got"),
        ({"label": "Half hour"}, {}, r"--label: expected .* two classes.*; or a column of numbers"),
        ({"is_in_order": True, "event_time": "Half hour"}, {}, "--rows-in-order: expected no --event-time"),
        ({"keep": ("meter",)}, {}, "--keep: expected columns of the file"),
        ({"image_size": "big"}, {}, "--image-size: expected height x width"),
        ({"name": "My Market"}, {}, "NAME: expected 2 to 24 small letters"),
        ({"label": "demand", "kind": "binary"}, {}, "--kind: expected binary to have .*, or --kind regression"),
        ({"label": "trend"}, {}, r"--label: expected one of .*'Trend'"),
        ({"positive": "sideways"}, {}, r"--positive: expected one of Trend's values \['down', 'up'\]"),
        ({"event_time": "price"}, {}, "--event-time: expected a column of times"),
        ({"key": ("price",)}, {}, "--key: expected columns that always hold"),
        ({"key": ("meter",)}, {}, "--key: expected one of"),
        ({"leave_out": ("meter",)}, {}, "--leave-out: expected columns of the file"),
        ({"label": ""}, {}, r"label: expected --label with one of weekend .*; Trend .*got 'no --label'"),
        ({"label": ""}, {"sold": lambda at: at % 2}, r"with one of .*Trend \('down' .*sold \(0 960×, 1 960×\)"),
        ({}, {"seen": lambda at: f"2024-01-{at % 28 + 1:02}"}, r"event time: expected --event-time Half hour, or seen"),
        ({"horizon_hours": 1}, {"Half hour": lambda at: f"1996-05-{at % 28 + 1:02}"}, "key: .*--key Half hour"),
        ({"horizon_hours": 1, "horizon_steps": 2}, {}, "--horizon-steps: expected one of"),
        ({"horizon_steps": 1, "key": ("price_day", "Half hour")}, UNEVEN, "--horizon-steps: expected rows of each key"),
        ({"has_no_key": True}, {"row_id": lambda at: at}, "--no-key: expected no column `row_id`"),
        ({"leave_out": ("price", "demand", "weekend", "Day.of week")}, {}, "features: expected a column to"),
    ],
)  # fmt: skip
def test_what_is_not_safe_is_asked_for(
    market: list[Row], as_csv: Writer, words: dict[str, Any], cells: dict[str, Any], said: str
) -> None:
    made = change(market, **cells)
    rows = [{**row, "Trend": row["Trend"]} for row in made]
    with pytest.raises(ConfigurationError, match=said):
        proposed(as_csv(rows), **words)


@pytest.mark.parametrize(
    ("cells", "key", "said"),
    [
        ({}, ("row_id",), ""),
        ({"ticket": lambda at: f"T{at - (at % 20 == 0)}"}, ("row_id",), "--key ticket would quarantine the 95 rows"),
        ({"ticket": lambda at: f"T{at}"}, ("ticket",), "each ticket comes once"),
        (
            {"sold": lambda at: at * at * 13 % 1_000_003, "seen": lambda at: at * at * 17 % 1_000_003},
            ("row_id",),
            "several columns tell the rows apart, and nothing says that one names a row (--key s",
        ),
        ({"item_id": lambda at: 7 * at, "other_id": lambda at: 11 * at}, ("item_id",), "each item_id comes once"),
    ],
)
def test_the_label_alone_is_enough(
    market: list[Row], as_csv: Writer, cells: dict[str, Any], key: tuple[str, ...], said: str
) -> None:
    rows = [{name: cell for name, cell in row.items() if name != "Half hour"} for row in change(market, **cells)]
    found = proposed(as_csv(rows))
    assert (found.prediction.event_time, found.prediction.key) == ("observed_at", key)
    assert said in found.guesses["key"].reason
    assert "split: {by: row_order" in found.workload_yaml, "neighbouring half hours are alike without their times too"


def test_two_numbers_that_are_written_as_decimals_are_classes(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"sold": "" if at % 90 == 0 else f"{at % 3 // 2}.0"} for at, row in enumerate(market)]
    found = proposed(as_csv(rows), label="sold")
    assert (found.prediction.task, found.guesses["positive"].value) == ("binary", "1.0")
    assert found.accepted.num_rows == len(rows) - len(rows[::90])
    several = [row | {"sold": f"{at % 3}.5"} for at, row in enumerate(market)]
    assert proposed(as_csv(several), label="sold").prediction.task == "regression"


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
        (b"a,b\n", "rows: expected labelled rows"),
        (b"\x1f\x8bzip", "format: expected CSV, TSV, JSON lines or Parquet"),
        (b'{"a": 1}\n{"a": "x"}\n', "a: expected values of one type, got 'int, str'"),
        (b'{\n  "a": 1\n}\n', r"line 1: expected a JSON object, the whole of it on one line, got 'Expecting property"),
        (b'{"a": 1}\n{"a": 1, "b": 2, "b": 3}\n', "line 2: expected a JSON object, got \"the field 'b' twice"),
        (b'{"a": 1}\n[2]\n', r"line 2: expected a JSON object, got '\[2\]'"),
        (b'{"a": 1}\n{"a": NaN}\n', "line 2: expected a JSON object, got .NaN, which is not JSON: null means"),
        (b'{"a": 1, "\\u0085": 2}\n', "columns: expected names that can be printed, got"),
        (b"PAR1 and no more", "format: expected a readable Parquet file"),
        (
            b"a,b,a\nx,y,z\n",
            "columns: expected names that come once in line 1, where one .* name, got \"'a' in columns 1 and 3",
        ),
        (b"Sales 2024,,\na,b,c\n1,2,3\n", "columns: expected names that come once in line 1, which may be a title"),
        (b'n\n"1,234"\n"5,678"\n', "numbers: expected --decimal , or --decimal . .1,234 may be either"),
        (b"a,y\n" + b"1,0\n2,1\n" * 20, f"rows: expected {FEWEST_ROWS} labelled rows or more, got 40"),
    ],
)
def test_what_holds_no_rows_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    with pytest.raises(ConfigurationError, match=f"^file: {said}"):
        proposed(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--from: expected a file"):
        proposed(tmp_path / "gone.csv")


def test_lines_of_another_width_will_be_quarantined(market: list[Row], as_csv: Writer) -> None:
    path = as_csv(market)
    path.write_text(path.read_text() + "one,two\n")
    found = proposed(path)
    assert [(row.line, row.detail) for row in found.refused] == [(1922, "expected 6 cells, got 2")]


def test_an_index_without_a_name_gets_one(market: list[Row], as_csv: Writer) -> None:
    path = as_csv([{"": at, **row} for at, row in enumerate(market)])
    found = proposed(path)
    assert (found.contract.columns[0].name, found.contract.columns[0].physical_name) == ("column_1", "")
    assert not found.refused


def test_types_that_the_contract_has_no_word_for_are_left_out(market: list[Row], tmp_path: Path) -> None:
    table = pa.table({
        "at": [datetime.fromisoformat(row["Half hour"]) for row in market],
        "demand": pa.array([int(row["demand"]) for row in market], pa.uint16()),
        "label": [row["Trend"] == "up" for row in market],
        "tags": [{"a": 1}] * len(market),
        "huge": pa.array([2**64 - 1] * len(market), pa.uint64()),
        "nothing": pa.nulls(len(market)),
    })  # fmt: skip
    found = proposed(written(tmp_path / "market.parquet", table), label="")
    assert {one.name: one.reason for one in found.not_in_contract} == {
        "tags": "has the type struct<a: int64>, which the contract has no word for; give each field a column of its "
        "own",
        "huge": "has values that do not fit into a int64",
        "nothing": "holds nothing",
    }
    assert (found.prediction.positive, found.prediction.features) == (True, ("demand",))


def test_few_days_are_refused_with_what_was_expected(market: list[Row], as_csv: Writer) -> None:
    with pytest.raises(ConfigurationError, match="event time: expected rows on 8 days or more"):
        proposed(as_csv(market[: 48 * 5]))


def test_a_guesser_sees_no_key_in_a_time_that_was_made_up(market: list[Row], as_csv: Writer) -> None:
    found = proposed(as_csv(market))
    label = found.guesses["label"].value
    time = found.guesses["event time"].value
    columns = (label, replace(time, distinct=7))
    assert Guesser(where="x", columns=columns).key((), None, label) is None


@pytest.mark.parametrize(("name", "least"), [("price", 0), ("outdoor_temperature", -26), ("Δ °C", -26)])
def test_a_number_that_may_fall_below_zero_gets_room_there(name: str, least: float, as_csv: Writer) -> None:
    rows: list[Row] = [{name: 2 + day * 7 % 29 + 0.5, "y": day % 2} for day in range(300)]
    assert minimum(proposed(as_csv(rows), label="y").contract.column(name)) == pytest.approx(least, abs=2)
