"""Writers of one table whose calls of AWS come in any order, and who are killed at any of them and begin again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.contract.load import contract_of
from millrace.datasets import changes, compaction
from millrace.datasets.bulk import result
from millrace.datasets.bulk.run import judge
from millrace.datasets.commits import NewDrop, commit_together
from millrace.datasets.compaction import compact
from millrace.datasets.expiry import expire
from millrace.datasets.iceberg import s3_client
from millrace.datasets.new_rows import RowsInFile, Source
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import Lake
from millrace.errors import TableMovedError
from millrace.names import WorkloadNames
from tests.millrace.datasets.test_bulk import AT, DOCUMENT, InTurn, Place, as_json, row
from tests.millrace.datasets.test_rewriting import rewrite
from tests.millrace.datasets.test_split import with_column
from tests.millrace.files import conftest as writers
from tests.turns import Turns

ROWS, VERSIONED = 5, 10
"""Rows of a content, of which the last one breaks a rule; the first of the contents of an object's versions."""


def rows_of(content: int) -> list[dict[str, object]]:
    """Two contents next to each other share rows; those of versions have the same first ones."""
    first, count = (3 * content, ROWS) if content < VERSIONED else (3 * VERSIONED, ROWS + content)
    return [*map(row, range(first, first + count - 1)), row(first + count - 1, nswprice=7)]


def write(place: Place, lake: Lake, folder: Path, drawn: Sequence[tuple[str, int]]) -> None:
    """Commit drops together: each a name and a content."""
    drops, table = [], lake.contract.table("training")
    for name, content in drawn:
        own, version = folder / name, f"00{content}" if content >= VERSIONED else ""
        own.mkdir(parents=True, exist_ok=True)
        pq.write_table(writers.parse(as_json(rows_of(content)), table).rows, own / "parsed")
        key = "versioned" if version else name
        uri = f"s3://landing/{key}?versionId={content}"
        source = Source(uri=uri, key=key, digest=f"{content}", written_by=name, sequencer=version, arrived=AT)
        quarantine = partial(QuarantineFile, own / "refused", drop_id="d", source=uri, as_of=AT)
        new = RowsInFile(lake, "rows", table, parsed=own / "parsed", source=source, quarantine=quarantine)
        drops.append(NewDrop(source=source, write=new.write))
    commit_together(lake, "rows", drops)


def write_large(place: Place, lake: Lake, folder: Path, drawn: Sequence[tuple[str, int]]) -> None:
    """Let a job judge a drop, and commit what it has made; again as long as the table moves."""
    ((name, content),) = drawn[:1]
    plan = place.plan(as_json(rows_of(content)), range_bytes=10**6)
    plan = plan.model_copy(update={"drop_id": name, "staging": f"{plan.staging}{name}/"})
    source = Source(uri=plan.source, key=name, digest=f"{content}", written_by=name, arrived=AT)
    new = NewDrop(source=source, write=partial(result.rows_of_job, place.s3, plan.result, lake))
    judge(plan, InTurn())
    try:
        commit_together(lake, "rows", [new])
    except TableMovedError:
        write_large(place, lake, folder, drawn)


def keep_up(_: Place, lake: Lake, *__: object) -> None:
    compact(lake, "rows")
    expire(lake, "rows", before=datetime.now(UTC))


def retype(_: Place, lake: Lake, __: Path, drawn: Sequence[tuple[str, int]]) -> None:
    rewrite(lake, drawn[0][0])


def play(place: Place, lakes: Sequence[Lake], turns: Turns, chance: random.Random) -> None:
    """Let writers of drawn drops race; then each good row is in the table once, whole, and no other one."""
    contents, works = set[int](), list[Callable[[], None]]()
    with_column(place.lake, "day_of_week", kind="int64").open("rows")
    for number, lake in enumerate(lakes):
        does = chance.choice([write, write, write, write_large, keep_up, retype])
        among = range(4) if does is write_large else (*range(4), VERSIONED, VERSIONED + 1)
        drawn = [(f"{number}-{each}", chance.choice(among)) for each in range(chance.choice([1, 1, 3]))]
        if does not in (keep_up, retype):
            contents |= {content for _, content in drawn[: 1 if does is write_large else 3]}
        for again in range(chance.choice([1, 2]) if does is write else 1):
            works.append(partial(does, place, lake, place.folder / f"{number}-{again}", drawn))
    turns.run(works, chance)
    latest = {max(contents)} if max(contents, default=0) >= VERSIONED else set[int]()
    good = (rows_of(content)[:-1] for content in latest | {each for each in contents if each < VERSIONED})
    expected = {str(one["timestamp"]) for some in good for one in some}
    table = place.lake.find("rows")
    assert table is not None
    found = table.scan(selected_fields=("timestamp", "day_of_week")).to_arrow()
    played = [(one.func.__name__, one.args[-1]) for one in works]
    assert sorted(at.isoformat() for at in found["timestamp"].to_pylist()) == sorted(expected), played
    assert found["day_of_week"].null_count == 0, played
    place.lake.catalog.drop_table(table.name())


@pytest.fixture
def place(names: WorkloadNames, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(changes, "PAUSE_S", 0)
    monkeypatch.setattr(compaction, "FEWEST", 2)
    return Place(Lake(names, contract_of(DOCUMENT, where="contract.yaml")), cloud.client("s3"), tmp_path)


def play_all(place: Place, seeds: range) -> int:
    """How many writers were killed."""
    lakes = [Lake(place.lake.names, place.lake.contract) for _ in range(3)]
    turns = Turns(s3_client(), *(lake.catalog.glue for lake in lakes))
    for seed in seeds:
        play(place, lakes, turns, random.Random(seed))
    return turns.kills


@pytest.mark.parametrize(
    "number", [24, pytest.param(10_000, marks=pytest.mark.night("some two hours; by day the first 24"))]
)
def test_each_good_row_comes_once_whoever_is_killed_where(place: Place, number: int) -> None:
    assert play_all(place, range(number)) > number / 2, "killed"
