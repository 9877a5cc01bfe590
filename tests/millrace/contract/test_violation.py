"""What is kept of a refused row is bounded, however long its cells are."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.kinds import from_base64
from millrace.contract.violation import RAW_BYTES, RAW_CHARACTERS, raw_row, raw_rows


@pytest.mark.parametrize("length", [100, RAW_CHARACTERS // 6, RAW_CHARACTERS, 2**20])
@pytest.mark.parametrize("character", ["\x01", "x", "😀"])
def test_the_texts_of_a_long_row_are_cut_with_their_length_and_digest(length: int, character: str) -> None:
    """A control character takes six in JSON, and one beyond ASCII makes all take four bytes of memory."""
    cells: dict[str, Any] = {"a": character * length, "n": 1}
    raw = raw_row(cells)
    assert len(raw) <= RAW_CHARACTERS
    assert len(raw.encode()) <= 2 * RAW_CHARACTERS
    kept = json.loads(raw)
    assert kept["n"] == 1
    assert kept["a"] == cells["a"] or kept["a"].partition("… ")[2].startswith(f"{length} characters, sha256 ")
    assert (kept["a"] == cells["a"]) == (len(json.dumps(cells, ensure_ascii=False)) <= RAW_CHARACTERS)


def test_a_row_of_a_thousand_texts_is_bounded_too() -> None:
    raw = raw_row({f"a{at}": "😀" + "\x01" * 200 for at in range(1_000)})
    assert len(raw) < 3 * RAW_CHARACTERS
    assert json.loads(raw)["a7"] == "201 characters"


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
