"""A drop into a table of any age and size costs the same: `python -m benchmarks.ages`; the last line is JSON.

The 101st drop into a table, and the 100,001st into one of 100 million rows that was kept up each night while 40 drops
of 1,000 rows came a day: its rows lie in few files, a week of snapshots is there, a file has what the others said. Each
is a process of its own, as after a cold start, and then a second drop in the same process: CPU seconds of that process,
from its first import on. Then a drop whose rows lie all over the years of the old table, as a correction or a text for
a key: the seconds until its known keys are found, every other one, and the most memory that its process had.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import conclude, last_line, peak_mb
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.server import running
from millrace.contract.load import load_contract
from millrace.datasets.commits import NewDrop, commit_together
from millrace.datasets.compaction import FEWEST, FILE_ROWS, compact
from millrace.datasets.expiry import KEPT_DAYS
from millrace.datasets.iceberg import DropsTransaction
from millrace.datasets.journal import JOURNAL, JournalEntry, render
from millrace.datasets.new_rows import RowsInFile, Source, existing_keys
from millrace.datasets.notes import ARRIVAL, DIGEST, ORIGIN, QUARANTINED, SEQUENCER, WRITTEN_BY
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import Lake, NewDataFile
from millrace.names import Platform, WorkloadNames
from tests.credentials import KEYS
from tests.millrace.datasets.conftest import make_places

BAR, KNOWN_BAR_S, KNOWN_BAR_MB = 2.0, 5.0, 1000.0
YOUNG, OLD, ROWS, A_DAY = 100, 100_000, 1000, 40
WORKLOAD = Path(__file__).resolve().parents[1] / "workloads" / "electricity"
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
TIMES = 3


def lake_of(stage: str) -> Lake:
    platform = Platform(stage=stage, account="123456789012", region="eu-west-1")
    return Lake(WorkloadNames(platform=platform, workload="electricity"), load_contract(WORKLOAD))


def sample() -> pa.Table:
    return pq.read_table(WORKLOAD / "sample" / "elec2.parquet").slice(0, ROWS)


def rows_of(number: int, drops: int, like: pa.Table) -> pa.Table:
    """The rows of drops, half an hour apart each; the first has this number."""
    rows = pa.concat_tables([like] * drops)
    at = np.datetime64(BEGIN.replace(tzinfo=None), "us") + np.arange(drops * ROWS) * np.timedelta64(30, "m")
    at += np.timedelta64(number * ROWS * 30, "m")
    place = rows.schema.get_field_index("timestamp")
    return rows.set_column(place, "timestamp", pa.array(at).cast(rows.schema.field("timestamp").type))


def notes(number: int) -> dict[str, str]:
    """What the snapshot of a drop says, in the lengths of real ones."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {
        DIGEST: digest,
        ORIGIN: f"s3://landing/electricity/training/2020/{number}.parquet?versionId={digest[:32]}",
        WRITTEN_BY: digest[::-1],
        SEQUENCER: digest[:18].upper(),
        ARRIVAL: (BEGIN + timedelta(days=number / A_DAY)).isoformat(),
        QUARANTINED: "0",
        "added-records": str(ROWS),
        "total-records": str((number + 1) * ROWS),
    }


def drop(lake: Lake, number: int, folder: Path, like: pa.Table) -> NewDrop:
    """As `functions/validation/handler.py` makes it."""
    known, own = notes(number), folder / str(number)
    own.mkdir(exist_ok=True)
    pq.write_table(rows_of(number, 1, like).append_column("_line", pa.array(np.arange(1, ROWS + 1))), own / "parsed")
    arrived = datetime.fromisoformat(known[ARRIVAL])
    source = Source(
        uri=known[ORIGIN],
        key=f"electricity/training/2020/{number}.parquet",
        digest=known[DIGEST],
        written_by=known[WRITTEN_BY],
        sequencer=known[SEQUENCER],
        arrived=arrived,
    )

    told = {"drop_id": source.written_by, "source": source.uri, "as_of": arrived}
    quarantine, contract = partial(QuarantineFile, own / "refused", **told), lake.contract_of("rows")
    new = RowsInFile(lake, "rows", contract, parsed=own / "parsed", source=source, quarantine=quarantine)
    return NewDrop(source=source, write=new.write, notes={ARRIVAL: known[ARRIVAL]})


def fill(lake: Lake, first: int, drops: int, folder: Path) -> None:
    like = sample()
    for start in range(first, first + drops, 25):
        numbers = range(start, min(start + 25, first + drops))
        done = commit_together(lake, "rows", [drop(lake, number, folder, like) for number in numbers])
        assert all(each.rows_added == ROWS for each in done)


def age(lake: Lake, folder: Path) -> None:
    """Make the table as the nights leave it: drops make the last week of snapshots, what is before is written."""
    recent = KEPT_DAYS * A_DAY
    expired = OLD - recent
    table, like = lake.open("rows"), sample()
    with DropsTransaction(table) as transaction:
        for first in range(0, expired, FILE_ROWS // ROWS):
            file = NewDataFile(table, folder / "rows.parquet")
            rows = rows_of(first, min(FILE_ROWS // ROWS, expired - first), like)
            for start in range(0, rows.num_rows, 2**17):
                part = rows.slice(start, 2**17)
                file.add(part.append_column("_source", pa.repeat("electricity/training/old", part.num_rows)))
            with transaction.update_snapshot().fast_append() as append:
                append.append_data_file(file.store())
    said = render(
        JournalEntry(snapshot_id=number + 1, place=number - expired, committed_ms=number, notes=notes(number))
        for number in range(expired)
    )
    location = f"{table.location()}/metadata/journal-of-the-nights.jsonl.gz"
    with table.io.new_output(location).create() as stream:
        stream.write(said)
    with DropsTransaction(lake.open("rows")) as transaction:
        transaction.set_properties({JOURNAL: location})
    fill(lake, expired, recent - FEWEST, folder)
    compact(lake, "rows")
    fill(lake, OLD - FEWEST, FEWEST, folder)


def measure(stage: str, *first: int) -> dict[str, float]:
    """CPU seconds of a drop in a new process, and of the one after it; without a number the search for known keys."""
    return last_line(sys.executable, "-m", "benchmarks.ages", stage, *map(str, first))


def child(stage: str, first: int) -> None:
    lake, like = lake_of(stage), sample()
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            began = 0.0 if name == "cold" else time.process_time()
            new = drop(lake, first, Path(folder), like)
            (done,) = commit_together(lake, "rows", [new])
            assert (done.rows_added, done.duplicate_of) == (ROWS, None), done
            took[name] = time.process_time() - began
            first += 1
    print(json.dumps(took))


def find_known(stage: str) -> None:
    """Look for the keys of a drop that reaches over the whole table: of each other row the table has the key."""
    lake, like = lake_of(stage), sample()
    at = np.datetime64(BEGIN.replace(tzinfo=None), "us") + np.arange(ROWS) * np.timedelta64(30 * (OLD - 1), "m")
    at[1::2] += np.timedelta64(15, "m")
    place = like.schema.get_field_index("timestamp")
    with tempfile.TemporaryDirectory() as folder:
        rows = like.set_column(place, "timestamp", pa.array(at).cast(like.schema.field("timestamp").type))
        pq.write_table(rows, Path(folder, "parsed"))
        began = time.monotonic()
        (keys,) = existing_keys(lake, "rows", lake.find("rows"), Path(folder, "parsed"))
        took_s = time.monotonic() - began
    assert np.isin(at, keys.values.to_numpy()).sum() == ROWS // 2
    print(json.dumps({"known_s": took_s, "known_mb": peak_mb()}))


def make(cloud: Cloud, stage: str) -> Lake:
    lake = lake_of(stage)
    make_places(cloud, lake.names.platform)
    return lake


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "cloud") as cloud:
        os.environ |= KEYS | {"AWS_ENDPOINT_URL": cloud.endpoint_url}
        drops = Path(folder) / "drops"
        drops.mkdir()
        young, old = (make(cloud, stage) for stage in ("young", "old"))
        fill(young, 0, YOUNG, drops)
        print(f"the {YOUNG} drops are in", flush=True)
        age(old, drops)
        print(f"the {OLD:,} drops are in", flush=True)
        took: dict[str, list[dict[str, float]]] = {"young": [], "old": []}
        for turn in range(TIMES):
            took["young"].append(measure("young", YOUNG + 2 * turn))
            took["old"].append(measure("old", OLD + 2 * turn))
        known = measure("old")
    ratios = {}
    for name in ("cold", "warm"):
        one, other = (min(each[name] for each in took[which]) for which in ("young", "old"))
        print(f"{name}: {one:.3f} s young, {other:.3f} s old")
        ratios[name] = other / one
    conclude(verdict(**ratios, **known))


def verdict(*, cold: float, warm: float, known_s: float, known_mb: float) -> dict[str, Any]:
    """CPU seconds of a drop into the old table by those of one into the young; seconds and memory of known keys."""
    holds = max(cold, warm) <= BAR and 0 <= known_s <= KNOWN_BAR_S and 0 <= known_mb < KNOWN_BAR_MB
    bars = {"bar": BAR, "known_bar_s": KNOWN_BAR_S, "known_bar_mb": KNOWN_BAR_MB}
    return {
        "name": "ages", "cold": cold, "warm": warm, "known_s": known_s, "known_mb": known_mb, **bars, "holds": holds
    }  # fmt: skip


if __name__ == "__main__":
    match sys.argv[1:]:
        case [stage, first]:
            child(stage, int(first))
        case [stage]:
            find_known(stage)
        case _:
            main()
