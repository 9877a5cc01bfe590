"""Files of labelled rows as people have them: half hours of the electricity market, told in their own words."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.files.given import given
from millrace.console.files.grid import Inside
from millrace.console.new.columns import Profile, observe
from millrace.console.new.files import read_given
from millrace.console.new.proposal import Proposal, propose
from millrace.console.new.read import Source, read_source
from millrace.console.new.roles import Choices

SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "electricity" / "sample" / "elec2.parquet"
TODAY = date(2024, 7, 1)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Row = dict[str, Any]
Writer = Callable[..., Path]


@pytest.fixture(scope="session")
def market() -> list[Row]:
    """Forty days: a time, numbers of which some are missing, a category, a flag, a word for the label."""
    return [
        {
            "Half hour": str(row["timestamp"]),
            "Day.of week": DAYS[row["day_of_week"]],
            "weekend": str(row["day_of_week"] > 4).lower(),
            "price": "" if at % 50 == 3 else f"{row['nswprice']:.6f}",
            "demand": f"{1000 * row['nswdemand']:.0f}",
            "Trend": "up" if row["class"] else "down",
        }
        for at, row in enumerate(pq.read_table(SAMPLE).slice(0, 1920).to_pylist())
    ]


@pytest.fixture
def as_csv(tmp_path: Path) -> Callable[..., Path]:
    """Rows as a file."""

    def write(rows: Sequence[Row], *, name: str = "market.csv", **form: Any) -> Path:
        return as_file(rows, tmp_path / name, **form)

    return write


def as_file(rows: Sequence[Row], path: Path, *, separator: str = ",", header: bool = True) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        if header:
            writer.writeheader()
        writer.writerows(rows)
    return path


def proposed(path: Path, *, columns: Sequence[str] = (), **words: Any) -> Proposal:
    """The label is said, as `weekend` has two values too."""
    return propose(
        read_source(path, columns=columns), Choices(**{"name": "market", "label": "Trend", **words}), today=TODAY
    )


def read_path(*paths: Path, **inside: str) -> Source:
    """What `--from` names, as the command reads it; only of files that are not packed, which are gone afterwards."""
    with given(paths, Inside(**inside)) as files:
        return read_given(files, Inside(**inside))


def written(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def observed(cells: Any, *, name: str = "x", typed_text: bool = False) -> Profile:
    """A column of these cells, as a file would have it."""
    found = observe(name, pa.chunked_array([pa.array(cells)]), typed_text=typed_text)
    assert isinstance(found, Profile)
    return found
