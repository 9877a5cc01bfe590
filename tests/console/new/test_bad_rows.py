"""Rows that ingestion would quarantine do not keep a file from becoming a workload: they are counted and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.console.new.read import read_source
from millrace.console.new.remarks import notes_of
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


@pytest.mark.parametrize("broken", [['{"a": '], ["[1]", "x"]])
def test_a_line_that_is_no_object_is_quarantined(broken: list[str], market: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(row | {"demand": float(row["demand"])}) for row in market]
    path.write_text("\n".join([*lines[:50], *broken, *lines[50:]]))
    found = proposed(path)
    numbers = list(range(51, 51 + len(broken)))
    assert [row.line for row in found.refused] == numbers
    shown = ", ".join(map(str, numbers))
    [said] = [note for note in notes_of(found) if note.startswith("lines that are no JSON objects")]
    assert f" and will be quarantined, {len(broken)}: {shown} (" in said


def test_a_file_of_many_broken_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(['{"a": 1}', "{"] * 10))
    with pytest.raises(ConfigurationError, match="line 2: expected a JSON object"):
        read_source(path)
