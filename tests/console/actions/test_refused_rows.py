"""Refused rows come back as the dropped file had them, so that they can be mended and dropped."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from console.actions.refused_rows import write_refused_rows
from console.queries.quarantine import Row
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Column, Table
from millrace.errors import RunError

TABLE = Table(name="rows", columns=(Column(name="id", kind="string"), Column(name="text", kind="string")))


class Contract:
    """Of one table."""

    def __init__(self, **form: Any) -> None:
        self._form = CsvForm(**form)

    def table(self, _: str) -> Table:
        return Table(name=TABLE.name, columns=TABLE.columns, csv=self._form)


class Bucket:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: dict[str, str] = {}

    def get_object(self, **asked: str) -> dict[str, Any]:
        self.asked = asked
        return {"Body": io.BytesIO(self.content)}


def row(line: int | None, source: str = "s3://landing/shop/training/a.csv?versionId=v1") -> Row:
    words = dict.fromkeys(("drop", "key", "reason", "expected", "got", "detail", "raw", "run"), "x")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Row(feed="training", source=source, line=line, column=None, quarantined_at=at, **words)


def written(content: bytes, lines: list[int], path: Path, **form: Any) -> bytes:
    bucket = Bucket(content)
    contract: Any = Contract(**form)
    assert write_refused_rows(bucket, contract, [row(line) for line in lines], path) == len(set(lines))
    assert bucket.asked == {"Bucket": "landing", "Key": "shop/training/a.csv", "VersionId": "v1"}
    return path.read_bytes()


def test_lines_of_csv_stand_behind_their_names(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\r\nid,text\r\na,"one\r\ntwo"\r\nb,three\r\nc,four'
    found = written(content, [5, 3, 6, 3], tmp_path / "rows.csv")
    assert found == content + b"\n", "the blank line and the mark too"
    assert written(content, [3], tmp_path / "rows.csv") == b'\xef\xbb\xbf\r\nid,text\r\na,"one\r\ntwo"\r\n'


def test_a_file_without_names_has_none(tmp_path: Path) -> None:
    found = written(b"a;1\nb;2\nc;3\n", [2], tmp_path / "rows.csv", delimiter=";", columns=("id", "text"))
    assert found == b"b;2\n"


def test_json_lines_and_parquet_too(tmp_path: Path) -> None:
    assert written(b'{"id": "a"}\n{"id": \n{"id": "c"}\n', [2, 3], tmp_path / "r.jsonl") == b'{"id": \n{"id": "c"}\n'
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": [1, 2, 3]}), sink)
    written(sink.getvalue().to_pybytes(), [3, 1], tmp_path / "r.parquet")
    assert pq.read_table(tmp_path / "r.parquet").to_pylist() == [{"id": "a", "text": 1}, {"id": "c", "text": 3}]


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ([], "expected refused rows of one dropped file, which --drop names, got none"),
        (
            [row(1), row(2, "s3://landing/shop/training/b.csv?versionId=v")],
            "of one dropped file, .* got s3://landing/.*, s3",
        ),
        ([row(None)], "expected a file with refused rows, got one that was refused whole"),
    ],
)
def test_rows_of_no_file_or_of_several_are_refused(refused: list[Row], said: str, tmp_path: Path) -> None:
    bucket, contract = Bucket(b""), Contract()
    with pytest.raises(RunError, match=said):
        write_refused_rows(bucket, contract, refused, tmp_path / "rows.csv")  # type: ignore[arg-type]
    assert not (tmp_path / "rows.csv").exists()
