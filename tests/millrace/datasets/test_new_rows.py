"""A file of typed rows, screened: every row is accepted or refused, in order, whatever the row groups."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.reasons import Reason
from millrace.contract.rules.allowed import Allowed
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation
from millrace.datasets.new_rows import parts, screen
from millrace.datasets.quarantine import PART_CHARACTERS, QuarantineFile, _parts

AS_OF = datetime(1997, 1, 1, tzinfo=UTC)
TABLE = Table(
    name="t",
    columns=(
        Column(name="k", kind="int64", required=True),
        Column(name="word", kind="string", rules=(Allowed(("a", "b")),)),
        Column(name="text", kind="string"),
    ),
    keys=(("k",),),
)


def written(file: Path, rows: int, group: int) -> Path:
    """Rows of which every fifth has a wrong word, and the last has the key of the first."""
    cells = [
        {"k": n if n < rows - 1 else 0, "word": "c" if n % 5 == 4 else "ab"[n % 2], "text": f"{n:030}", LINE: n + 1}
        for n in range(rows)
    ]
    pq.write_table(pa.Table.from_pylist(cells, schema=parsed_schema(TABLE)), file, row_group_size=group)
    return file


def screened(file: Path, folder: Path, table: Table = TABLE) -> tuple[int, pa.Table, pa.Table]:
    accepted: list[pa.Table] = [parsed_schema(table).empty_table()]
    with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=AS_OF) as refused:
        rows = screen(file, table, accepted.append, refused)
    return rows, pa.concat_tables(accepted), pq.read_table(folder / "refused")


@pytest.mark.parametrize("group", [1, 7, 1000])
def test_every_row_is_accepted_or_refused(tmp_path: Path, group: int) -> None:
    rows, accepted, refused = screened(written(tmp_path / "parsed", 101, group), tmp_path)
    wrong = [n + 1 for n in range(101) if n % 5 == 4]
    assert refused["line"].to_pylist() == [*wrong, 101]
    assert set(refused["reason"].to_pylist()) == {"allowed", "duplicate_key"}
    assert (rows, accepted.num_rows) == (80, 80)
    assert accepted[LINE].to_pylist() == [n + 1 for n in range(100) if n % 5 != 4]
    assert accepted.schema.equals(parsed_schema(TABLE))


def test_only_texts_of_few_words_come_as_a_dictionary(tmp_path: Path) -> None:
    """A dictionary of texts that all differ would cost more than it saves."""
    kinds = [{field.name: field.type for field in part.schema} for part in parts(written(tmp_path / "p", 9, 4), TABLE)]
    assert [pa.types.is_dictionary(kind["text"]) for kind in kinds] == [False] * 3
    large = next(parts(written(tmp_path / "large", 20_000, 20_000), TABLE))
    assert pa.types.is_dictionary(large.schema.field("word").type)
    assert not pa.types.is_dictionary(large.schema.field("text").type)


def test_an_empty_file(tmp_path: Path) -> None:
    pq.write_table(parsed_schema(TABLE).empty_table(), tmp_path / "parsed")
    assert screened(tmp_path / "parsed", tmp_path)[0] == 0


def test_refused_rows_of_long_texts_are_written_fewer_at_a_time() -> None:
    """By their violations alone, 16,384 rows of a megabyte would be in memory at once."""
    violation = RuleViolation(reason=Reason.RANGE, column="a", expected="1", got="2")
    long = "x" * (PART_CHARACTERS // 2)
    several = [QuarantinedRow(line=line, violations=(violation,), raw=long) for line in range(1, 6)]
    assert [len(part) for part in _parts(several)] == [2, 2, 1]
