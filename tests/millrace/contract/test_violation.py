"""What is kept of a refused row is bounded, however long its cells are."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.kinds import from_base64
from millrace.contract.violation import RAW_BYTES, RAW_CHARACTERS, raw_row, raw_rows


@pytest.mark.parametrize("length", [RAW_CHARACTERS, RAW_CHARACTERS + 1, 2**20])
def test_a_long_text_is_cut_with_its_length_and_digest(length: int) -> None:
    """A control character takes six in JSON: a file of kilobytes would take gigabytes."""
    cells: dict[str, Any] = {"a": "\x01" * length, "n": 1}
    raw = raw_row(cells)
    assert len(raw) < 7 * RAW_CHARACTERS
    kept = json.loads(raw)
    assert kept["n"] == 1
    is_whole = length == RAW_CHARACTERS
    assert (kept["a"] == cells["a"]) == is_whole
    assert is_whole or kept["a"].partition("… ")[2].startswith(f"{length} characters, sha256 ")


def test_rows_of_a_table_are_written_as_each_alone() -> None:
    rows = pa.table({"a": ["x" * (RAW_CHARACTERS + 2), "é", None], "b": [b"\0" * (RAW_BYTES + 1), b"", None]})
    assert list(raw_rows(rows)) == [raw_row(row) for row in rows.to_pylist()]


@pytest.mark.parametrize("text", ["AAAA=", "AAAA====", "AB==", "AAB=", "A", "A===", "AA AA", "A-A_"])
def test_text_that_no_bytes_are_written_as_is_no_base64(text: str) -> None:
    """Python's own reader takes the first four."""
    with pytest.raises(ValueError):
        from_base64(text)


def test_what_bytes_are_written_as_is_base64() -> None:
    assert [from_base64(text) for text in ("", "AA==", "AAE=", "AAEC")] == [b"", b"\0", b"\0\1", b"\0\1\2"]
