"""The sample data of `electricity` by months: drops, a file to score, days to predict, labels."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.workload.load import SUITE

SAMPLE = SUITE / "workloads" / "electricity" / "sample" / "elec2.parquet"
ROWS_A_DAY = 48
HISTORY = ("1996-05", "1996-12")
"""The first and the last month whose rows come with their labels."""


@dataclass(frozen=True, kw_only=True)
class Month:
    """One calendar month of the published rows, in the published order."""

    name: str
    """For example `1996-05`."""
    rows: pa.Table

    @property
    def first(self) -> datetime:
        """Midnight of the month's first day, UTC."""
        return datetime.fromisoformat(f"{self.name}-01T00:00:00+00:00")

    @property
    def next_first(self) -> datetime:
        """Midnight of the first day after the month, UTC."""
        # December is month 12: 12 // 12 adds a year, 12 % 12 + 1 is January.
        year, month = map(int, self.name.split("-"))
        return datetime.fromisoformat(f"{year + month // 12}-{month % 12 + 1:02}-01T00:00:00+00:00")

    def days(self) -> Iterator[list[dict[str, Any]]]:
        """The rows of each published day, without their label. 4 May 1997 is twice in the source."""
        features = self.rows.drop_columns(["class"])
        for start in range(0, self.rows.num_rows, ROWS_A_DAY):
            rows = features.slice(start, ROWS_A_DAY).to_pylist()
            yield [{**row, "timestamp": row["timestamp"].isoformat()} for row in rows]

    def drop(self) -> bytes:
        """A Parquet file of the whole rows."""
        return parquet(self.rows)

    def labels(self) -> bytes:
        """A CSV file of the labels: time and class."""
        lines = [f"{row['timestamp'].isoformat()},{row['class']}" for row in self.rows.to_pylist()]
        return "\n".join(["timestamp,class", *lines, ""]).encode()


def months(sample: Path, first: str, last: str) -> list[Month]:
    """The months of the sample from `first` to `last`, both included."""
    table = pq.read_table(sample)
    name = pc.strftime(table["timestamp"], format="%Y-%m")
    names = sorted({value for value in name.to_pylist() if first <= value <= last})
    return [Month(name=each, rows=table.filter(pc.equal(name, each))) for each in names]


def file_to_score(month: Month) -> bytes:
    """A CSV file of one week to score. One row is wrong on purpose: its demand is beyond the scale."""
    rows = [row for day, _ in zip(month.days(), range(7), strict=False) for row in day]
    rows[100] = {**rows[100], "nswdemand": 17.5}
    columns = list(rows[0])
    lines = [",".join(str(row[column]) for column in columns) for row in rows]
    return "\n".join([",".join(columns), *lines, ""]).encode()


def parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue()


def main() -> None:
    """Write the files of the labelled months into a folder: `python -m millrace.console.demo.months FOLDER`."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for month in months(SAMPLE, *HISTORY):
        (folder / f"{month.name}.parquet").write_bytes(month.drop())


if __name__ == "__main__":
    main()
