"""Commits of real rows: once each, whatever is repeated, renamed, lost on the way or done by two at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Transaction

from millrace.contract.schema import ARRIVED, SOURCE
from millrace.datasets.commits import Commit, NewDrop, commit, commit_together
from millrace.datasets.iceberg import DropsTransaction
from millrace.datasets.new_rows import NewRows, RowsInMemory, Source, existing_keys
from millrace.datasets.notes import is_later
from millrace.datasets.tables import PROPERTIES, Lake
from millrace.datasets.withdrawal import withdraw

SAMPLE = Path(__file__).parents[3] / "workloads" / "electricity" / "sample" / "elec2.parquet"


def rows(first: int, number: int = 48) -> pa.Table:
    part = pq.read_table(SAMPLE).slice(first, number)
    return part.append_column("_line", pa.array(np.arange(1, number + 1)))


def source(name: str, digest: str = "") -> Source:
    return Source(uri=f"s3://landing/{name}?versionId=1", key=name, digest=digest or name, written_by=f"run-{name}")


def committed(lake: Lake) -> pa.Table:
    return lake.open("rows").scan().to_arrow()


def test_rows_have_their_source(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a.parquet"))
    table = committed(lake)
    assert table.drop_columns([SOURCE, ARRIVED]).cast(pq.read_schema(SAMPLE)).equals(pq.read_table(SAMPLE).slice(0, 48))
    assert set(table[SOURCE].to_pylist()) == {"a.parquet"}


def test_every_page_of_a_data_file_has_its_checksum_and_its_field_ids(lake: Lake, names: Any, cloud: Any) -> None:
    commit(lake, "rows", rows(0), source("a.parquet"))
    (task,) = lake.open("rows").scan().plan_files()
    key = task.file.file_path.removeprefix(f"s3://{names.platform.bucket('lake')}/")
    assert key.startswith("electricity/iceberg/electricity_rows/data/")
    data = cloud.client("s3").get_object(Bucket=names.platform.bucket("lake"), Key=key)["Body"].read()
    assert pq.read_schema(pa.BufferReader(data)).field("class").metadata[b"PARQUET:field_id"] == b"9"
    flipped = bytearray(data)
    flipped[200] ^= 1
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(pa.BufferReader(bytes(flipped)), page_checksum_verification=True)


@pytest.mark.parametrize("statistics", [True, False])
def test_only_the_keys_of_the_drop_are_held(lake: Lake, tmp_path: Path, statistics: bool) -> None:
    """The range of a file is in its footer, if it says so."""
    commit(lake, "rows", rows(0, 480), source("a.parquet"))
    pq.write_table(rows(470, 48), tmp_path / "drop", row_group_size=20, write_statistics=statistics)
    (keys,) = existing_keys(lake, "rows", lake.find("rows"), tmp_path / "drop")
    assert (keys.columns, len(keys.values)) == (("timestamp",), 10)


def test_writers_who_take_turns_lose_no_attempt(lake: Lake) -> None:
    attempts, turn = Counter[int](), Lock()

    def write(number: int) -> int:
        own = Lake(lake.names, lake.contract)

        def empty(_: Any) -> NewRows:
            attempts[number] += 1
            return NewRows(files=(), quarantined={})

        commit_together(own, "rows", [NewDrop(source=source(f"{number}.parquet"), write=empty)], turn=lambda: turn)
        return number

    commit(lake, "rows", rows(0), source("first.parquet"))
    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(write, range(4))] == [0, 1, 2, 3]
    assert attempts == dict.fromkeys(range(4), 1)


def version(number: int, *, name: str = "a.parquet", digest: str = "") -> Source:
    """The version with this number of an object; its sequencers are of S3's different lengths."""
    sequencer = f"00{number}" + "0" * number
    digest = digest or f"{name}-{number}"
    uri = f"s3://landing/{name}?versionId={number}"
    return Source(uri=uri, key=name, digest=digest, written_by=f"run-{name}-{number}", sequencer=sequencer)


def prices(lake: Lake) -> list[float]:
    return sorted(committed(lake)["nswprice"].to_pylist())


def corrected(number: int = 48) -> pa.Table:
    """The same keys with other values."""
    given = rows(0, number)
    return given.set_column(given.schema.get_field_index("nswprice"), "nswprice", pa.array([0.5] * number))


A, B, A2, OVER = rows(0), rows(96), corrected(40), rows(24)
SCENARIOS: dict[str, tuple[list[tuple[pa.Table, Source, tuple[int, int, int, int], str]], list[pa.Table]]] = {
    "the same bytes under another key bring no rows": (
        [(A, source("a", "d"), (48, 0, 48, 0), ""), (A, source("b", "d"), (0, 0, 48, 0), source("a").uri)],
        [A],
    ),
    "a key that came since the validation is refused": (
        [(A, source("a"), (48, 0, 48, 0), ""), (OVER, source("b"), (24, 24, 72, 0), "")],
        [A, OVER.slice(24)],
    ),
    "the later version takes the place of the earlier one": (
        [
            (B, version(1, name="b.parquet"), (48, 0, 48, 0), ""),
            (A, version(1), (48, 0, 96, 0), ""),
            (A2, version(2), (40, 0, 88, 48), ""),
        ],
        [B, A2],
    ),
    "the earlier version comes later": (
        [(A2, version(2), (40, 0, 40, 0), ""), (A, version(1), (0, 0, 40, 0), version(2).uri)],
        [A2],
    ),
    "a version that goes back to earlier bytes is the latest all the same": (
        [
            (A, version(1, digest="first"), (48, 0, 48, 0), ""),
            (A2, version(2), (40, 0, 40, 48), ""),
            (A, version(3, digest="first"), (48, 0, 48, 40), ""),
        ],
        [A],
    ),
    "the same bytes as a later version are a duplicate and keep the order": (
        [
            (A, version(1, digest="same"), (48, 0, 48, 0), ""),
            (A, version(3, digest="same"), (0, 0, 48, 0), version(1).uri),
            (A2, version(2), (0, 0, 48, 0), version(3).uri),
        ],
        [A],
    ),
    "a version without new rows takes nobody's place": (
        [
            (B, version(1, name="b.parquet"), (48, 0, 48, 0), ""),
            (A, version(1), (48, 0, 96, 0), ""),
            (B, version(2), (0, 48, 96, 0), ""),
        ],
        [A, B],
    ),
    "without a sequencer the first version keeps its rows": (
        [(A, version(1), (48, 0, 48, 0), ""), (A2, replace(version(2), sequencer=""), (0, 40, 48, 0), "")],
        [A],
    ),
}
"""Of each commit the rows added, refused, in all and replaced, and the source that came before it; the rows then."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_becomes_of_drops_and_versions(lake: Lake, name: str) -> None:
    steps, left = SCENARIOS[name]
    for given, of, expected, before in steps:
        done = commit(lake, "rows", given, of)
        assert (done.rows_added, done.rows_quarantined, done.rows_total, done.rows_replaced) == expected
        assert (done.duplicate_of or done.superseded_by or "") == before
        snapshots = len(lake.open("rows").metadata.snapshots)
        assert commit(lake, "rows", given, of) == done, "a retry of the same run changes nothing"
        assert len(lake.open("rows").metadata.snapshots) == snapshots
    assert prices(lake) == sorted(price for table in left for price in table["nswprice"].to_pylist())


def test_a_replacement_of_withdrawn_rows_is_committed(lake: Lake) -> None:
    commit(lake, "rows", rows(0), version(1))
    assert withdraw(lake, "rows", "a.parquet", cause="w") == 48
    assert commit(lake, "rows", corrected(), version(2)).rows_total == 48


ORDERS = [*permutations(("a1", "b", "a2"))]


@pytest.mark.parametrize(("order", "overlap"), [*((each, 24) for each in ORDERS), (ORDERS[0], 48), (ORDERS[0], 0)])
def test_a_correction_with_the_bytes_of_another_file_takes_the_place_of_its_earlier_version(
    lake: Lake, order: tuple[str, ...], overlap: int
) -> None:
    """Whichever comes first: the rows of these bytes are there once, those of the earlier version are not."""
    bytes_of_b = rows(48 - overlap)
    given = {"a1": corrected(), "b": bytes_of_b, "a2": bytes_of_b}
    sources = {"a1": version(1), "b": version(1, name="b.parquet", digest="b"), "a2": version(2, digest="b")}
    done = {name: commit(lake, "rows", given[name], sources[name]) for name in order}
    assert prices(lake) == sorted(bytes_of_b["nswprice"].to_pylist())
    assert done[order[-1]].rows_total == 48
    assert sum(one.rows_replaced for one in done.values()) == done["a1"].rows_added
    snapshots = len(lake.open("rows").metadata.snapshots)
    assert commit(lake, "rows", given[order[-1]], sources[order[-1]]) == done[order[-1]], "a retry changes nothing"
    again = commit(lake, "rows", given["a1"], replace(sources["a1"], written_by="again"))
    assert again.superseded_by == sources["a2"].uri, "also where the earlier version comes once more"
    assert committed(lake).num_rows == 48
    assert len(lake.open("rows").metadata.snapshots) - snapshots == (0 if order.index("a2") < order.index("a1") else 1)


def commit_group(lake: Lake, folder: Path, given: list[tuple[pa.Table, Source]]) -> list[Commit]:
    found = [
        RowsInMemory(lake, "rows", rows, source, folder / f"{place}.parquet")
        for place, (rows, source) in enumerate(given)
    ]
    drops = [NewDrop(source=source, write=new.write) for new, (_, source) in zip(found, given, strict=True)]
    return commit_together(lake, "rows", drops)


def updates_of(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every commit to the catalogue from now on."""
    made: list[Any] = []
    glue, update = lake.catalog.glue, lake.catalog.glue.update_table
    monkeypatch.setattr(glue, "update_table", lambda **given: (made.append(given), update(**given))[1])
    return made


def test_drops_together_are_one_commit_and_a_snapshot_each(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(lake, "rows", rows(0), version(1))
    made = updates_of(lake, monkeypatch)
    given = [
        (rows(48), source("b.parquet")),
        (rows(72), source("c.parquet")),
        (rows(48), source("d.parquet", "b.parquet")),
        (corrected(40), version(2)),
        (corrected(30), version(3)),
        (rows(0), replace(version(1), written_by="late")),
    ]
    done = commit_group(lake, tmp_path, given)
    assert len(made) == 1
    assert [(one.rows_added, one.rows_quarantined, one.rows_total) for one in done] == [
        (48, 0, 96),
        (24, 24, 120),
        (0, 0, 120),
        (40, 0, 112),
        (30, 0, 102),
        (0, 0, 102),
    ]
    assert (done[2].duplicate_of, done[5].superseded_by) == (source("b.parquet").uri, version(2).uri)
    table = committed(lake)
    assert Counter(table[SOURCE].to_pylist()) == {"a.parquet": 30, "b.parquet": 48, "c.parquet": 24}
    assert commit_group(lake, tmp_path, given) == done, "a retry says the same, also of the version that left since"
    assert len(made) == 1, "and writes nothing"


def test_manifests_are_merged_and_each_row_stays_in_its_snapshot(lake: Lake) -> None:
    """Every earlier snapshot can still be read."""
    commit(lake, "rows", rows(0), source("first.parquet"))
    number = 2 * int(PROPERTIES["commit.manifest.min-count-to-merge"])
    done = [commit(lake, "rows", rows(48 + at, 1), source(f"{at}.parquet")) for at in range(number)]
    iceberg = lake.open("rows")
    current = iceberg.current_snapshot()
    assert current is not None
    assert len(current.manifests(iceberg.io)) < number / 2
    assert [one.rows_total for one in done] == list(range(49, 49 + number))
    for at in (0, number // 2, number - 1):
        assert iceberg.scan(snapshot_id=done[at].snapshot_id).to_arrow().num_rows == 49 + at
    assert commit(lake, "rows", rows(48, 1), source("0.parquet")) == done[0]


def test_the_metadata_of_a_transaction_is_that_of_pyiceberg(lake: Lake) -> None:
    """After each of its changes: rows, a note without rows, a replaced drop, properties."""
    for at in range(3):
        commit(lake, "rows", rows(at * 10, 10), source(f"{at}.parquet"))
    iceberg = lake.open("rows")
    ours = DropsTransaction(iceberg)
    theirs = Transaction(iceberg)

    def same(changes: int) -> None:
        theirs._updates = ours._updates
        assert len(ours._updates) >= changes
        ignored = {"last_updated_ms"}  # the moment of the look, where the last change has none of its own
        assert ours.table_metadata.model_dump(exclude=ignored) == theirs.table_metadata.model_dump(exclude=ignored)

    same(0)
    ours.set_properties({"a": "b"})
    same(1)
    for note in ("one", "two"):
        with ours.update_snapshot(snapshot_properties={"note": note}).merge_append():
            pass
        same(3)
    ours.delete(EqualTo(term=SOURCE, value="1.parquet"), snapshot_properties={"note": "gone"})
    same(7)
    ours.remove_properties("a")
    same(8)
    with ours.update_snapshot(snapshot_properties={"note": "last"}).merge_append():
        pass
    same(10)
    ours.commit_transaction()
    found = lake.open("rows")
    said = [one.summary["note"] for one in found.metadata.snapshots[3:] if one.summary]
    assert said == ["one", "two", "gone", "last"]
    assert found.scan().to_arrow().num_rows == 20


@pytest.mark.parametrize(
    ("one", "other", "later"),
    [("00A12", "00A1", True), ("00A1", "00A12", False), ("00A10", "00A1", False), ("00b", "00A1", True)],
)
def test_a_shorter_sequencer_is_filled_up_with_zeros(one: str, other: str, later: bool) -> None:
    assert is_later(one, other) is later
