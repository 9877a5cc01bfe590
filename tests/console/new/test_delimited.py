"""The form of a delimited file, found by its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.console.new.read import find_form, read_source
from millrace.contract.schema import Column, Table
from millrace.errors import ConfigurationError, DropError
from millrace.files.catalogue import read_drop


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ('id,note,y\n1,"first\nsecond",no\n2,ok,yes\n', '"'),
        ('id;note;y\r\n1;"first\r\n\r\nthe ""second""";no\r\n2;ok;yes\r\n', '"'),
        ('id,note\n1,ok\n2,"first\nsecond"\n', '"'),
        ('id,note\n1,"a, b"\n2,5" nail\n', '"'),
        ('id,note\n1,5" nail\n2,ok\n', ""),
        ('id,note,y\n1,"open,no\n2,"open,yes\n3,"open,no\n', ""),
        ("id,note\n1,'a, b'\n2,'c'\n", "'"),
        ("id,note\n1,it's\n2,ok\n", '"'),
    ],
    ids=["line break", "breaks and quotes", "last cell", "comma", "inch", "opened only", "single", "apostrophe"],
)
def test_the_quotation_mark_is_that_of_whole_cells(text: str, quote: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode())
    assert find_form(path).quote == quote


def test_numbers_with_two_decimal_marks_are_told_with_the_lines_of_each(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('id,amount,y\n1,"3,4",a\n2,3.4,b\n3,5,a\n4,"5,1",b\n')
    (note,) = read_source(path).notes
    assert all(said in note for said in ("amount", "'3.4'", "(3)", "'3,4'", "(2, 5)"))


def test_a_line_that_a_drop_is_refused_for_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(f"id,note,y\n1,a,yes\n2,{'b' * 2**20},no\n")
    told = "lines of 1048576 bytes at most, got .?a longer line 3"
    with pytest.raises(ConfigurationError, match=f"rows: expected {told}"):
        read_source(path)
    table = Table(name="rows", columns=tuple(Column(name=name, kind="string") for name in ("id", "note", "y")))
    with pytest.raises(DropError, match=told):
        list(read_drop(path, table))
