"""Whatever bytes come: a drop is refused whole with its reason, or each of its rows is accepted or quarantined."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.kinds import KINDS, Kind
from millrace.contract.row import check_row
from millrace.contract.schema import Column, Table
from millrace.contract.validate import validate
from millrace.datasets.quarantine import QuarantineFile
from millrace.errors import DropError
from millrace.files.cast import from_text
from millrace.files.catalogue import read_drop
from millrace.files.parsed import Limits, Parsed
from tests import hostile


def read(path: Path, table: Table, limits: Limits) -> Parsed | None:
    """All parts in one; None for a drop that is refused whole."""
    try:
        parts = list(read_drop(path, table, limits))
    except DropError:
        return None
    rows = pa.concat_tables([part.rows for part in parts])
    rows.validate(full=True)
    return Parsed(rows=rows, unparsable=tuple(row for part in parts for row in part.unparsable))


def survives(folder: Path, kind: str, seed: int) -> bool:
    """Whether the drop of this seed has rows; fails where one of them is lost or its quarantine cannot be kept."""
    random, path = Random(f"{kind} {seed}"), folder / "drop"
    path.write_bytes(data := hostile.FORMATS[kind](random))
    limits = Limits(block_bytes=random.choice([256, 4 * 2**20]), batch_rows=random.choice([3, 65_536]))
    parsed = read(path, hostile.TABLE, limits)
    if parsed is None:
        return False
    judged = validate(parsed.rows, hostile.TABLE)
    assert judged.accepted.num_rows + len(judged.refused) == parsed.rows.num_rows
    lines = [*parsed.rows["_line"].to_pylist(), *(row.line for row in parsed.unparsable)]
    assert len(set(lines)) == len(lines)
    if kind == "jsonlines":
        assert len(lines) == sum(bool(line.strip()) for line in data.split(b"\n"))
    pq.write_table(judged.accepted, folder / "accepted")
    with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=datetime.now(UTC)) as kept:
        kept.add(parsed.unparsable)
        kept.add(judged.refused)
    assert kept.rows == len(parsed.unparsable) + len(judged.refused)
    return True


NIGHT = pytest.mark.night("by day sixty of the 5,000 drops of each format, and a tenth of 100,000 cells")


@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(60, 5_000), marks=NIGHT)], ids=str)
@pytest.mark.parametrize("kind", hostile.FORMATS)
def test_no_drop_makes_an_uncaught_error(kind: str, seeds: range, tmp_path: Path) -> None:
    found = [survives(tmp_path, kind, seed) for seed in seeds]
    assert any(found)


@pytest.mark.parametrize("header", [b"at\rsmall", b'"' + b"a" * 200_000, b"at,sm\rall"], ids=["mac", "long", "return"])
def test_a_header_that_is_no_line_is_a_reason(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "drop").write_bytes(header + b"\n2020-01-01,1\n")
    with pytest.raises(DropError) as caught:
        list(read_drop(tmp_path / "drop", hostile.TABLE))
    assert caught.value.reason in ("columns", "foreign")


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_text_that_is_no_utf_8_costs_its_row(kind: pa.DataType, tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff\xfe", None, b"fine"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, texts.buffers(), texts.null_count).cast(kind, safe=False)
    at = pa.array([datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)], pa.timestamp("us"))
    pq.write_table(pa.table({"at": at, "text": broken}), tmp_path / "drop", use_dictionary=pa.types.is_dictionary(kind))
    table = Table(name="rows", columns=tuple(hostile.TABLE.column(name) for name in ("at", "text")), keys=(("at",),))
    parsed = read(tmp_path / "drop", table, Limits())
    assert parsed is not None
    assert parsed.rows["text"].to_pylist() == ["good", None, "fine"]
    (row,) = parsed.unparsable
    assert (row.line, row.reason, row.violations[0].column) == (2, "type", "text")


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_has_one_verdict_alone_and_beside_a_bad_neighbour(kind: Kind) -> None:
    texts = [text for text in hostile.TEXTS if text != "\ud800"]
    for text in texts:
        alone, wrong = from_text(pa.array([text]), kind)
        beside, also = from_text(pa.array(["no such cell", text, "#"]), kind)
        assert (str(beside[1:2]), 1 in also) == (str(alone), wrong == [0]), text


def verdicts(seed: int, cells: int, folder: Path) -> Iterator[tuple[str, object, bool, bool]]:
    """Of each cell: its column, itself, whether a request with it is taken, whether a drop with it is."""
    random = Random(seed)
    columns = tuple(Column(name=name, kind=kind) for name, kind in hostile.KINDS.items())
    for column in columns:
        table = Table(name="rows", columns=(column,), keys=())
        values = [_value(random) for _ in range(cells)]
        rows = [{column.name: value} for value in values]
        (folder / "drop").write_text("".join(json.dumps(row) + "\n" for row in rows))
        parsed = read(folder / "drop", table, Limits())
        assert parsed is not None
        taken = set(validate(parsed.rows, table).accepted["_line"].to_pylist())
        for line, row in enumerate(rows, 1):
            yield column.name, row[column.name], not check_row(row, table), line in taken


def _value(random: Random) -> object:
    """JSON knows neither NaN nor infinity: a drop with them has another reason than a request."""
    value = random.choice(hostile.VALUES)
    if isinstance(value, float) and value - value != 0:
        return 0.5
    if isinstance(value, str) and value and random.random() < 0.5:
        at = random.randrange(len(value))
        return value[:at] + random.choice("0123456789-:TZ+. e\n") + value[at + 1 :]
    if isinstance(value, int | float) and not isinstance(value, bool) and random.random() < 0.5 and abs(value) < 1e300:
        return value * random.choice([2, 10, -1, 0.5, 1.0000001])
    return value


@pytest.mark.parametrize("cells", [300, pytest.param(10_000, marks=NIGHT)])
def test_a_request_and_a_drop_give_the_same_verdict(cells: int, tmp_path: Path) -> None:
    found = list(verdicts(cells, cells, tmp_path))
    assert len(found) == cells * len(hostile.KINDS)
    assert [one for one in found if one[2] != one[3]] == []
