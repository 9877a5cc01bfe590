"""CSV in every declared form: what was written is read back, both ways; a broken neighbour costs one row."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.csv_form import DELIMITERS, ENCODINGS, QUOTES, THOUSANDS, CsvForm, read_csv_form, read_words
from millrace.contract.schema import Column, Table
from millrace.contract.time_format import TimeFormat
from millrace.errors import DropError
from millrace.files import csv as drops
from millrace.files.origin import Origin
from millrace.files.parsed import Limits
from tests.millrace.files.conftest import Read

COLUMNS = (
    Column(name="n", kind="int64", physical_name="How Many"),
    Column(name="x", kind="float64", missing_words=("NA", "-")),
    Column(name="s", kind="string", missing_words=("NA", "?")),
    Column(name="d", kind="date", time_format=TimeFormat("M/d/yyyy"), missing_words=("n/a",)),
)
NAMES = ["How Many", "x", "s", "d", "remark"]
FORMS = [
    CsvForm(delimiter=delimiter, quote=quote, encoding=encoding, decimal=decimal, thousands=thousands)
    for delimiter, quote, encoding, decimal, thousands in itertools.product(
        DELIMITERS, QUOTES, ENCODINGS, (".", ","), THOUSANDS
    )
    if len({decimal, thousands, quote or "no quote", delimiter if not quote else "any delimiter"}) == 4
    if thousands != "\u202f" or encoding == "utf-8"
]
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(-1e12, 1e12).map(lambda x: round(x, 3)),
        st.none() | st.text(alphabet="abé \"';,.|\t", min_size=1, max_size=6).map(str.strip).filter(bool),
        st.none() | st.dates(),
        st.sampled_from(["", "kept nowhere"]),
    ),
    min_size=1,
    max_size=6,
)
MISSING = {"n": [""], "x": ["", "NA", "-"], "s": ["", "NA", "?"], "d": ["", "n/a"]}


def table_of(form: CsvForm) -> Table:
    return Table(name="rows", columns=COLUMNS, csv=form, ignored=("remark",))


def number(value: float, form: CsvForm) -> str:
    whole, _, rest = f"{value:,}".partition(".")
    return whole.replace(",", form.thousands) + (form.decimal + rest if rest else "")


def written(rows: list[tuple[Any, ...]], form: CsvForm, *, header: bool = True) -> bytes:
    """As Python's own module writes it; where nothing quotes, a text has no delimiter."""
    out = io.StringIO()
    quoting = csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE
    writer = csv.writer(
        out, delimiter=form.delimiter, quotechar=form.quote or None, quoting=quoting, lineterminator="\n"
    )
    lines = [NAMES] if header else []
    for place, (n, x, s, d, remark) in enumerate(rows):
        cells = {"n": n if n is None else number(n, form), "x": x if x is None else number(x, form), "s": s}
        cells["d"] = d if d is None else f"{d.month}/{d.day}/{d.year:04}"
        words = {name: MISSING[name][place % len(MISSING[name])] for name in MISSING}
        lines.append([*(words[name] if cell is None else cell for name, cell in cells.items()), remark])
    for line in lines:
        writer.writerow(line)
    return out.getvalue().encode(form.encoding)


def plain(rows: list[tuple[Any, ...]], form: CsvForm) -> list[tuple[Any, ...]]:
    """Without what the form cannot write."""
    marks = {form.delimiter, "\t"} if form.quote else {form.delimiter, "\t", '"', "'"}
    clean = [
        tuple(
            "".join(c for c in cell if c not in marks).strip() or None if isinstance(cell, str) else cell
            for cell in row[:4]
        )
        for row in rows
    ]
    return [(*row, "") for row in clean]


@pytest.mark.parametrize("form", FORMS[::19], ids=repr)
@settings(max_examples=8, deadline=None)
@given(rows=ROWS)
def test_what_a_form_writes_is_read_back(form: CsvForm, rows: list[tuple[Any, ...]], read: Read) -> None:
    rows = plain(rows, form)
    parsed = read(written(rows, form), table_of(form), Limits(block_bytes=64, line_bytes=4096))
    assert parsed.unparsable == ()
    assert [tuple(row[name] for name in ("n", "x", "s", "d")) for row in parsed.rows.to_pylist()] == [
        row[:4] for row in rows
    ]


@pytest.mark.parametrize("form", FORMS[3::19], ids=repr)
@settings(max_examples=8, deadline=None)
@given(rows=ROWS, broken=st.sampled_from(["x", "1;2", "1.5,5", "99999999999999999999", "1.23.4", "\t", "1 2"]))
def test_both_ways_agree_and_a_broken_neighbour_costs_one_row(
    form: CsvForm, rows: list[tuple[Any, ...]], broken: str, read: Read
) -> None:
    rows = [
        tuple(cell.replace(form.quote or "'", "") if isinstance(cell, str) else cell for cell in row)
        for row in plain(rows, form)
    ]
    rows = [row if row[2] != "" else (*row[:2], None, *row[3:]) for row in rows]
    needs_quotes = form.delimiter in (form.decimal, form.thousands)
    data = b"" if needs_quotes else written(rows, replace(form, quote=""), header=False)
    bad = form.delimiter.join([broken, "1", "a", "1/1/2020", "", "one too many"][: 5 + ("x" in broken)])
    lines = [*data.decode(form.encoding).encode().splitlines(), bad.encode()]
    header = ["n", "x", "s", "d", ""]
    slow = drops._read_lines(lines, 2, 5, form, Limits(), last=True)
    quick = drops._read_plain(b"\n".join(lines), 2, 5, form)
    table = table_of(form)
    assert str(drops._typed(slow, header, table)) == str(drops._typed(quick, header, table))
    assert drops._typed(quick, header, table).rows.num_rows >= len(lines) - 1


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("1.234,5", CsvForm(decimal=",", thousands="."), 1234.5),
        ("1234,5", CsvForm(decimal=",", thousands="."), 1234.5),
        ("1,234,567.5", CsvForm(thousands=","), 1234567.5),
        ("1 234,5", CsvForm(decimal=",", thousands="\u00a0"), None),
        ("1.5", CsvForm(decimal=","), None),
        ("12.34", CsvForm(decimal=",", thousands="."), None),
        ("1.2345", CsvForm(decimal=",", thousands="."), None),
        ("1,5,5", CsvForm(decimal=","), None),
        ("-,5", CsvForm(decimal=","), -0.5),
        ("1,5e3", CsvForm(decimal=","), 1500.0),
        ("1.234", CsvForm(decimal=",", thousands="."), 1234.0),
        ("nan(1)", CsvForm(), None),
        ("-NaN(x)", CsvForm(), None),
    ],
)
def test_a_number_is_one_in_its_form_only(text: str, form: CsvForm, value: float | None, read: Read) -> None:
    table = Table(
        name="rows",
        columns=(Column(name="x", kind="float64"), Column(name="k", kind="string")),
        csv=replace(form, delimiter="|"),
    )
    for neighbour in ("", "half|c\n"):  # a bad one is searched for in another way
        parsed = read(f"x|k\n{text}|a\n0|b\n{neighbour}".encode(), table)
        assert parsed.rows["x"].to_pylist() == ([value, 0] if value is not None else [0])
        assert [row.line for row in parsed.unparsable] == [2] * (value is None) + [4] * bool(neighbour)


def test_a_byte_that_the_encoding_does_not_have_costs_its_line(read: Read) -> None:
    table = Table(name="rows", columns=(Column(name="s", kind="string"),), csv=CsvForm(encoding="cp1252"))
    parsed = read(b"s\n\x80uro\n\x81\nna\xefve\n", table)
    assert parsed.rows["s"].to_pylist() == ["€uro", "naïve"]
    assert [(row.line, row.reason, row.violations[0].expected) for row in parsed.unparsable] == [
        (3, "encoding", "CP1252")
    ]
    with pytest.raises(DropError, match="CP1252, got the mark of UTF-8"):
        read("\ufeffs\né\n".encode(), table)


@pytest.mark.parametrize(
    ("declared", "written", "told"),
    [
        (
            "utf-8",
            "cp1252",
            r"encoding: expected a header in UTF-8 \(`csv.encoding` of the contract may say cp1252 .*\\xfc",
        ),
        ("cp1252", "utf-8", "encoding: expected a header in CP1252 .* got UTF-8: 'kunde,gekündigt'"),
        ("latin-1", "utf-8", "encoding: expected a header in LATIN-1 .* got UTF-8"),
    ],
)
def test_a_header_in_another_encoding_says_so(declared: str, written: str, told: str, read: Read) -> None:
    columns = (Column(name="kunde", kind="string"), Column(name="gekündigt", kind="string"))
    table = Table(name="rows", columns=columns, csv=CsvForm(encoding=declared))
    content = "kunde,gekündigt\na,b\n"
    assert read(content.encode(declared), table).rows.num_rows == 1
    with pytest.raises(DropError, match=told):
        read(content.encode(written), table)
    with pytest.raises(DropError, match="columns: "):
        read("kunde,übrig\na,b\n".encode(declared), table)


def test_a_file_without_names_has_its_columns_by_their_places(read: Read) -> None:
    columns = (*COLUMNS[:2], Column(name="y", kind="string", label=True))
    table = Table(
        name="rows", columns=columns, csv=CsvForm(columns=("y", "How Many", "remark", "x")), ignored=("remark",)
    )
    assert read(b"a,1,..,2.5\nb,2,..,\n", table).rows.to_pylist() == [
        {"n": 1, "x": 2.5, "y": "a", "_line": 1},
        {"n": 2, "x": None, "y": "b", "_line": 2},
    ]
    assert read(b"1,..,2.5\n", table.without("y")).rows.num_rows == 1


def test_a_label_without_its_row_s_id_takes_that_of_the_prediction(read: Read) -> None:
    columns = (
        Column(name="id", kind="string", required=True, generated="prediction_id"),
        Column(name="prediction_id", kind="string", required=True),
    )
    table = Table(name="labels", columns=columns, keys=(("id",),))
    origin = Origin(name="a.csv", at=datetime(2024, 1, 1, tzinfo=UTC), digest="", fetch=lambda key, version: b"")
    assert read(b"prediction_id\na-0\n", table, origin=origin).rows["id"].to_pylist() == ["a-0"]
    assert read(b"id,prediction_id\nmine,a-0\n", table, origin=origin).rows["id"].to_pylist() == ["mine"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"separator": ";"}, "a mapping with columns, decimal"),
        ([], "a mapping"),
        ({"delimiter": " "}, "delimiter: one of"),
        ({"decimal": "'"}, "decimal: one of"),
        ({"decimal": ",", "thousands": ","}, "that differ"),
        ({"quote": "'", "thousands": "'"}, "that differ"),
        ({"quote": "", "decimal": ","}, "from the delimiter"),
        ({"encoding": "utf-16"}, "encoding: one of"),
        ({"columns": ["a", "a"]}, "each text once"),
        ({"columns": []}, "columns: names"),
    ],
)
def test_a_form_that_is_not_known_is_refused(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_csv_form(value)


@pytest.mark.parametrize("value", ["NA", [None], [" NA"], ["NA", "NA"], [0]])
def test_words_are_texts_as_cells_have_them(value: object) -> None:
    with pytest.raises(ValueError, match="text"):
        read_words(value)
