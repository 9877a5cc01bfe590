"""A drop that is cut anywhere says the same of every row as the drop that is read from its beginning to its end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Column, Table
from millrace.datasets.bulk.pieces import cut_text, read_text
from millrace.errors import DropError
from millrace.files.catalogue import format_at, read_drop
from millrace.files.lines import BOM
from millrace.files.parsed import Limits, Parsed
from tests.fuzz import examples

TABLE = Table(
    name="rows",
    columns=(Column(name="n", kind="int64"), Column(name="s", kind="string"), Column(name="t", kind="string")),
)
FORMS = (
    CsvForm(),
    CsvForm(delimiter=";", quote="'"),
    CsvForm(delimiter="\t", encoding="cp1252"),
    CsvForm(quote=""),
    CsvForm(columns=("n", "s", "t")),
)
WORDS = ["1", "22", "x", '"', '""', "'", ",", ";", "\t", "\n", "\r\n", "\r", " ", "é", "\0", "\ufeff", "a" * 30]
WORDS += ['1,"a\nb",c\n', "2,b,c\n", "3;'a''\nb';c\n", "4\tb\tc\n", '5,"a"x,c\n', "\n\n", "1,2\n", '6,",\n', "7;b;c\n"]
CSV = st.lists(st.sampled_from([*(word.encode() for word in WORDS), b"\xff", b"\xef\xbb\xbf"]), max_size=60).map(
    b"".join
)
LINE = ['{"n":1,"s":"a"}', '{"n":1,"s":"a","t":"\\u00e9"}', "{", "", "[]", '{"n":"x"}', '{"q":1}', '{"s":"é\x85"}', " "]
JSON = st.lists(st.sampled_from([*(line.encode() for line in LINE), b'{"s":"\xff"}']), max_size=40)
LIMITS = st.builds(
    Limits, line_bytes=st.sampled_from([40, 2000]), block_bytes=st.integers(1, 90), batch_rows=st.integers(1, 9)
)


def in_pieces(data: bytes, table: Table, limits: Limits, size: int, path: Path) -> Iterator[Parsed]:
    """As a job reads it, each piece by itself."""
    form = format_at(io.BytesIO(data), len(data), table)
    for piece in cut_text(io.BytesIO(data), 3 if data.startswith(BOM) else 0, form, table, limits, size):
        path.write_bytes(piece.head + data[piece.begin : piece.end])
        yield from read_text(path, piece, table, limits)


def told(parts: Iterator[Parsed]) -> object:
    """What was found, or why the drop cannot become rows."""
    try:
        found = list(parts)
    except DropError as error:
        return ([], []) if error.got == "a header only" else str(error)
    rows = [row for part in found for row in part.rows.to_pylist()]
    return rows, [row for part in found for row in part.unparsable]


def agree(data: bytes, table: Table, limits: Limits, size: int, path: Path) -> None:
    path.write_bytes(data)
    whole = told(read_drop(path, table, limits))
    assert told(in_pieces(data, table, limits, size, path)) == whole


@pytest.mark.parametrize("form", FORMS, ids=repr)
@settings(max_examples=examples(1000), deadline=None)
@given(content=CSV, limits=LIMITS, size=st.integers(1, 120))
def test_a_csv_file_in_pieces_says_what_it_says_whole(
    form: CsvForm, content: bytes, limits: Limits, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    header = b"" if form.columns else form.delimiter.join("nst").encode() + b"\n"
    agree(header + content, replace(TABLE, csv=form), limits, size, tmp_path_factory.getbasetemp() / "drop")


@settings(max_examples=examples(1000), deadline=None)
@given(lines=JSON, end=st.sampled_from([b"\n", b"\r\n"]), limits=LIMITS, size=st.integers(1, 120))
def test_json_lines_in_pieces_say_what_they_say_whole(
    lines: list[bytes], end: bytes, limits: Limits, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    agree(b'{"n":0}\n' + end.join(lines), TABLE, limits, size, tmp_path_factory.getbasetemp() / "drop")
