"""Refused rows come back as the dropped file had them, so that they can be mended and dropped."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from millrace.console.actions.repair import write_refused_rows
from millrace.console.files.catalogue import first_lines
from millrace.console.queries.drops import Row
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Column, Table
from millrace.errors import RunError

TABLE = Table(name="rows", columns=(Column(name="id", kind="string"), Column(name="text", kind="string")))


class Contract:
    """Of one table."""

    def __init__(self, *, ignored: tuple[str, ...] = (), **form: Any) -> None:
        self._form, self._ignored = CsvForm(**form), ignored

    def table(self, _: str) -> Table:
        return Table(name=TABLE.name, columns=TABLE.columns, csv=self._form, ignored=(*self._ignored, LINE))


class Bucket:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: dict[str, str] = {}

    def get_object(self, **asked: str) -> dict[str, Any]:
        self.asked = asked
        if not self.content:
            raise ClientError({"Error": {"Code": "NoSuchVersion", "Message": "of an erasure"}}, "GetObject")
        return {"Body": io.BytesIO(self.content)}


def row(line: int | None, source: str = "s3://landing/shop/training/a.csv?versionId=v1") -> Row:
    words = dict.fromkeys(("key", "reason", "expected", "got", "also", "detail", "run"), "x")
    return Row(
        feed="training",
        drop=source.rpartition("?")[0],
        source=source,
        line=line,
        column=None,
        quarantined_at=datetime(2026, 1, 1, tzinfo=UTC),
        raw="x" if line else "",
        **words,
    )


def written(content: bytes, lines: list[int], path: Path, **form: Any) -> bytes:
    bucket = Bucket(content)
    contract: Any = Contract(**form)
    assert write_refused_rows(bucket, contract, [row(line) for line in lines], path) == len(set(lines))
    assert bucket.asked == {"Bucket": "landing", "Key": "shop/training/a.csv", "VersionId": "v1"}
    return path.read_bytes()


def test_lines_of_csv_stand_behind_their_names(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\r\nid,text\r\na,"one\r\ntwo"\r\nb,three\r\nc,four'
    found = written(content, [5, 3, 6, 3], tmp_path / "rows.csv")
    head, first = b"\xef\xbb\xbf\r\n_line,id,text\r\n", b'3,a,"one\r\ntwo"\r\n'
    assert found == head + first + b"5,b,three\r\n6,c,four\n", "the blank line and the mark too"
    assert written(content, [3], tmp_path / "rows.csv") == head + first


def test_a_file_without_names_has_none(tmp_path: Path) -> None:
    found = written(b"a;1\nb;2\nc;3\n", [2], tmp_path / "rows.csv", delimiter=";", columns=("id", "text"))
    assert found == b"b;2\n"


def test_rows_to_score_have_no_line_as_nothing_traces_them(tmp_path: Path) -> None:
    contract: Any = Contract()
    refused = [replace(row(2), feed="scoring")]
    assert write_refused_rows(Bucket(b"id,text\na,b\n"), contract, refused, tmp_path / "rows.csv") == 1
    assert (tmp_path / "rows.csv").read_bytes() == b"id,text\na,b\n"


def test_a_stray_quote_joins_no_lines(tmp_path: Path) -> None:
    """What the reader takes for records of their own: by even quotes the lines 2 to 4 would be one."""
    content = b'id,text\na"b,1\nb,2\nc"d,3\n'
    assert written(content, [2, 4], tmp_path / "rows.csv") == b'_line,id,text\n2,a"b,1\n4,c"d,3\n'
    assert written(content, [3], tmp_path / "rows.csv") == b"_line,id,text\n3,b,2\n"


def test_a_stray_quote_that_would_join_two_refused_rows_is_an_error(tmp_path: Path) -> None:
    """Line 3 is a good row between them: without it lines 2 and 4 are one record."""
    content = b'id,text\n1,"a\n2,"b"\n3,c"\n'
    with pytest.raises(RunError, match="got a quote that takes in line 4 of the dropped file"):
        written(content, [2, 4], tmp_path / "rows.csv")
    assert not (tmp_path / "rows.csv").exists()
    assert written(content, [4], tmp_path / "rows.csv") == b'_line,id,text\n4,3,c"\n'


def test_a_contract_that_divides_the_file_otherwise_loses_nothing_silently(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="by the contract as it is now none begins in line 3"):
        written(b'id,text\na,"b\nc"\n', [3], tmp_path / "rows.csv")


def test_of_two_versions_the_last_counts(tmp_path: Path) -> None:
    bucket, contract = Bucket(b"id,text\na,b\n"), Contract()
    older = replace(
        row(7, "s3://landing/shop/training/a.csv?versionId=v0"), quarantined_at=datetime(2025, 1, 1, tzinfo=UTC)
    )
    assert write_refused_rows(bucket, contract, [row(2), older], tmp_path / "rows.csv") == 1  # type: ignore[arg-type]
    assert bucket.asked["VersionId"] == "v1"


def test_a_line_that_is_no_object_gets_no_number_and_that_of_a_workbook_is_a_float(tmp_path: Path) -> None:
    path, mended = tmp_path / "r.jsonl", b'{"_line": 2, "id": \n{"_line": 3, "id": "c"}\nno object\n'
    assert written(b'{"id": "a"}\n{"id": \n{"id": "c"}\nno object\n', [2, 3, 4], path) == mended
    path.write_bytes(mended.replace(b"3", b"3.0"))
    assert first_lines(path, TABLE) == {2: 3}


def test_times_of_the_old_form_stay_those_that_they_are(tmp_path: Path) -> None:
    """Arrow reads them in nanoseconds, of which there are none for 1600 or 9999."""
    times = [datetime(1500, 1, 1), datetime(1600, 1, 1), datetime(9999, 12, 31)]  # noqa: DTZ001
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"id": ["a", "b", "c"], "text": pa.array(times, pa.timestamp("us"))}),
        sink,
        use_deprecated_int96_timestamps=True,
    )
    written(sink.getvalue().to_pybytes(), [2, 3], tmp_path / "r.parquet")
    assert pq.read_table(tmp_path / "r.parquet")["text"].to_pylist() == times[1:]


def test_columns_that_the_contract_ignores_are_left_out(tmp_path: Path) -> None:
    """Two of one name, and one of which Arrow takes no rows."""
    nested = pa.array([["x"], ["y"]], pa.list_(pa.string_view()))
    columns = [pa.array(["a", "b"], pa.string_view()), pa.array(["x", "y"]), pa.array([1, 2]), pa.array([3, 4]), nested]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "text", "old", "old", "tags"]), sink)
    written(sink.getvalue().to_pybytes(), [2], tmp_path / "r.parquet", ignored=("old", "tags"))
    assert pq.read_table(tmp_path / "r.parquet").to_pylist() == [{"id": "b", "text": "y", "_line": 2}]


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ([], "expected the key of one drop with refused rows, or the end of it, got none"),
        (
            [row(1), row(2, "s3://landing/shop/training/b.csv?versionId=v")],
            "of one drop .* got s3://landing/.*a.csv, s3",
        ),
        ([row(None)], "expected refused rows, got a file that was refused whole"),
        ([row(1)], "expected the dropped file, got none"),
    ],
)
def test_rows_of_no_file_or_of_several_are_refused(refused: list[Row], said: str, tmp_path: Path) -> None:
    bucket, contract = Bucket(b""), Contract()
    with pytest.raises(RunError, match=said):
        write_refused_rows(bucket, contract, refused, tmp_path / "rows.csv")  # type: ignore[arg-type]
    assert not (tmp_path / "rows.csv").exists()
