"""A drop into a table of any age costs the same: `python -m benchmarks.ages`; the last line is JSON.

The 101st drop into a table, and the 100,001st into one that was kept up each night while 40 drops of 48 rows came a
day: its rows lie in few files, a week of snapshots is there, a file has what the others said. Each is a process of
its own, as after a cold start, and then a second drop in the same process: CPU seconds of that process, from its first
import on. The control is the metadata of a table with as many snapshots that was never kept up.
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

from benchmarks import conclude, last_line
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.server import running
from millrace.contract.load import load_contract
from millrace.datasets.commits import NewDrop, commit_together
from millrace.datasets.compaction import FEWEST, compact
from millrace.datasets.expiry import KEPT_DAYS
from millrace.datasets.iceberg import DropsTransaction
from millrace.datasets.journal import JOURNAL, JournalEntry, render
from millrace.datasets.new_rows import RowsInFile, Source
from millrace.datasets.notes import ARRIVAL, DIGEST, ORIGIN, QUARANTINED, SEQUENCER, WRITTEN_BY
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import Lake, NewDataFile
from millrace.names import Platform, WorkloadNames
from tests.credentials import KEYS
from tests.millrace.datasets.conftest import make_places

BAR = 2.0
YOUNG, OLD, ROWS, A_DAY = 100, 100_000, 48, 40
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
        for first in range(0, expired, 20_000):
            file = NewDataFile(table, folder / "rows.parquet")
            rows = rows_of(first, min(20_000, expired - first), like)
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


def neglect(cloud: Cloud, lake: Lake) -> None:
    """The table's metadata with as many snapshots as drops, no night having passed; the data is that of the few."""
    glue, s3, platform = cloud.client("glue"), cloud.client("s3"), lake.names.platform
    table = glue.get_table(DatabaseName=platform.database, Name=lake.names.table("rows"))["Table"]
    bucket, _, key = table["Parameters"]["metadata_location"].removeprefix("s3://").partition("/")
    document = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    first = document["snapshots"][0]
    more = [
        first | {"snapshot-id": number + 1, "sequence-number": 0, "summary": {"operation": "append"} | notes(number)}
        for number in range(OLD - len(document["snapshots"]))
    ]
    document["snapshots"] = more + document["snapshots"]
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(document).encode())


def measure(stage: str, first: int) -> dict[str, float]:
    """CPU seconds of a drop in a new process, and of the one after it."""
    return last_line(sys.executable, "-m", "benchmarks.ages", stage, str(first))


def child(stage: str, first: int) -> None:
    lake, like = lake_of(stage), sample()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            began = 0.0 if name == "cold" else time.process_time()
            new = drop(lake, first, Path(folder), like)
            (done,) = commit_together(lake, "rows", [new])
            assert (done.rows_added, done.duplicate_of) == (ROWS, None), done
            found[name] = time.process_time() - began
            first += 1
    print(json.dumps(found))


def make(cloud: Cloud, stage: str) -> Lake:
    lake = lake_of(stage)
    make_places(cloud, lake.names.platform)
    return lake


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "cloud") as cloud:
        os.environ |= KEYS | {"AWS_ENDPOINT_URL": cloud.endpoint_url}
        drops = Path(folder) / "drops"
        drops.mkdir()
        young, old, neglected = (make(cloud, stage) for stage in ("young", "old", "neglected"))
        fill(young, 0, YOUNG, drops)
        print(f"the {YOUNG} drops are in", flush=True)
        age(old, drops)
        print(f"the {OLD:,} drops are in", flush=True)
        fill(neglected, OLD - 25, 25, drops)
        neglect(cloud, neglected)
        found: dict[str, list[dict[str, float]]] = {"young": [], "old": []}
        for turn in range(TIMES):
            found["young"].append(measure("young", YOUNG + 2 * turn))
            found["old"].append(measure("old", OLD + 2 * turn))
        control = measure("neglected", OLD)
    ratios = {}
    for name in ("cold", "warm"):
        one, other = (min(each[name] for each in found[which]) for which in ("young", "old"))
        print(f"{name}: {one:.3f} s young, {other:.3f} s old, {control[name]:.3f} s never kept up")
        ratios[name] = other / one
    conclude(verdict(**ratios))


def verdict(*, cold: float, warm: float) -> dict[str, Any]:
    """CPU seconds of a drop into the old table by those of one into the young."""
    return {"name": "ages", "bar": BAR, "cold": cold, "warm": warm, "holds": max(cold, warm) <= BAR}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], int(sys.argv[2]))
    else:
        main()
