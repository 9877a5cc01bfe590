"""A large file is looked at by a sample of its rows, which keeps their lines and their neighbours."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.files.given import Given
from millrace.console.new import files
from millrace.console.new.files import sampled
from millrace.console.new.read import read_source

ROWS = 4_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of these tests count as large."""
    monkeypatch.setattr(files, "MOST_BYTES", 8_000)
    monkeypatch.setattr(files, "MOST_CELLS", 1_000)


def given(path: Path) -> Given:
    return Given(path=path, plain=path, name=path.name)


@pytest.mark.parametrize("looks_ahead", [False, True])
@pytest.mark.parametrize(("cell", "word"), [("red", "red"), ('"two\nlines, a ""quote"""', 'two\nlines, a "quote"')])
def test_rows_of_text_are_whole_and_keep_their_lines(cell: str, word: str, looks_ahead: bool, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,word\n" + "".join(f"{at},{cell}\n" for at in range(ROWS)))
    [one], [said] = sampled([given(path)], tmp_path / "sample", looks_ahead=looks_ahead)
    assert one.sample is not None
    source = read_source(one.sample)
    ids = [int(text) for text in source.table["id"].to_pylist()]
    assert not source.unparsable
    assert (ids[0], ids[-1]) == (0, ROWS - 1)
    assert 100 < len(ids) < ROWS / 2
    assert {*source.table["word"].to_pylist()} == {word}
    breaks = sum(after != before + 1 for before, after in pairwise(ids))
    assert breaks == (9 if looks_ahead else 99)
    # The whole file and its sample have a row in the same line.
    lines, own = path.read_bytes().splitlines(), one.sample.read_bytes().splitlines()
    assert len(own) == len(lines)
    assert all(line in (b"", lines[at]) for at, line in enumerate(own))
    assert f"{len(lines):,}" in said


def test_rows_of_parquet_are_from_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": range(ROWS), "word": ["red"] * ROWS}), path, row_group_size=700)
    [one], _ = sampled([given(path)], tmp_path / "sample", looks_ahead=False)
    assert one.sample is not None
    ids = pq.read_table(one.sample)["id"].to_pylist()
    assert (ids[0], ids[-1], len(ids)) == (0, ROWS - 1, 500)


@pytest.mark.parametrize("content", ["id\n1\n2\n", "", "\x89PNG\r\n"])
def test_what_is_small_or_unknown_is_read_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    assert sampled([given(path)], tmp_path / "sample", looks_ahead=False) == ((given(path),), ())
