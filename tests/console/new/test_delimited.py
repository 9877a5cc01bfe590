"""The form of a delimited file, found by its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.console.new.read import find_form


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
