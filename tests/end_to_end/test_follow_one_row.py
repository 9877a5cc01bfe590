"""README's "Follow one row" names the modules that one row enters, in order; here one row is followed.

The rule: a line of the list is one process, in the order in which they are first entered; its links are the modules
whose functions that process called for the row, in the order of their first call. What a process calls while nothing
happens does not count, nor does an import. What WORDS names is entered on many lines: the README names it once, below
the list. All modules count, also those; the rules of the contract count as one, and so do the encoders."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from console.demo.months import SAMPLE
from console.local_cloud.local_cloud import LocalCloud
from tests.end_to_end.conftest import Lived, control

ROOT = Path(__file__).resolve().parents[2]
IDLE_S = 2.5
"""Longer than the turn that a server takes when nobody asks it."""
WORDS = {
    "millrace/contract/schema.py",
    "millrace/messages/ingest.py",
    "millrace/messages/envelope.py",
    "millrace/timestamps.py",
    "millrace/names.py",
    "millrace/aws/objects.py",
}
"""What things are called and how a message is written; nothing happens to the row in them."""

AS_ONE = ("millrace/contract/rules", "millrace/features")
Steps = list[list[str]]


def section(readme: str) -> str:
    return readme.split("## Follow one row")[1].split("\n## ")[0].split("\nFrom there on")[0]


def links(text: str) -> list[str]:
    return [fold(link) for link in re.findall(r"\]\(([^)]+)\)", text)]


def fold(module: str) -> str:
    """The module, or what it counts as."""
    return next((one for one in AS_ONE if module.startswith(one)), module)


def steps_of(readme: str) -> Steps:
    """The links of each numbered line in the section."""
    return [links(line) for line in section(readme).splitlines() if re.match(r"\d+\. ", line)]


def entered(lines: Iterable[str]) -> Steps:
    """The modules of each process, by what the recorders wrote."""
    processes: dict[str, dict[str, None]] = {}
    for line in lines:
        process, module, _ = line.split(" ", 2)
        processes.setdefault(process, {}).setdefault(fold(module))
    return [list(modules) for modules in processes.values()]


def without_words(steps: Steps) -> Steps:
    found = [[module for module in modules if module not in WORDS] for modules in steps]
    return [modules for modules in found if modules]


def drop(row: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], schema=pq.read_schema(SAMPLE)), sink)
    return sink.getvalue()


@contextmanager
def entering(cloud: LocalCloud) -> Iterator[Callable[[], list[str]]]:
    """In the block, what functions, jobs and endpoints call is written down; the value reads it.

    A line `<process> <file> <function>` for the first call of each function of ours in each process, in order."""
    control(cloud, "follow", {"on": True})
    try:
        yield lambda: list(control(cloud, "entered"))
    finally:
        control(cloud, "follow", {"on": False})


@pytest.fixture(scope="module")
def followed(lived: Lived, catalog: GlueCatalog) -> Iterator[Steps]:
    """One row, half an hour after the last one of the sample, is dropped; then its prediction is asked.

    Afterwards the table is as it was: a training of later tests would be another one with this row."""
    cloud, names = lived.cloud, lived.names
    row = pq.read_table(SAMPLE).slice(pq.read_metadata(SAMPLE).num_rows - 1).to_pylist()[0]
    row["timestamp"] += timedelta(minutes=30)
    lived.rest()
    iceberg = catalog.load_table((names.platform.database, names.table("rows")))
    before = iceberg.current_snapshot()
    assert before is not None
    with entering(cloud) as lines:
        time.sleep(IDLE_S)
        idle = len(lines())
        lived.put("training", "one.parquet", drop(row))
        lived.rest()
        asked = {**{name: row[name] for name in row if name != "class"}, "timestamp": row["timestamp"].isoformat()}
        answer = cloud.client("lambda").invoke(
            FunctionName=names.function("prediction"), Payload=json.dumps({"rows": [asked]})
        )
        said = json.load(answer["Payload"])
        assert [each["fallback"] for each in said["predictions"]] == [False], said
        lived.rest()
        found = entered(lines()[idle:])
    iceberg.refresh()
    after = iceberg.current_snapshot()
    assert after is not None
    assert after.parent_snapshot_id == before.snapshot_id, "the row is in the table"
    yield found
    iceberg.manage_snapshots().rollback_to_snapshot(before.snapshot_id).commit()


def test_the_readme_names_the_modules_that_a_row_enters_in_order(followed: Steps) -> None:
    named, found = steps_of((ROOT / "README.md").read_text()), without_words(followed)
    assert named == found, f"for the README:\n{json.dumps(found, indent=1)}"


def test_the_readme_counts_every_module_that_a_row_enters(followed: Steps) -> None:
    text = section((ROOT / "README.md").read_text())
    modules = {module for step in followed for module in step}
    assert set(links(text)) == modules, "each is linked, and no other"
    (counted,) = re.findall(r"it enters (\d+) modules", text)
    assert int(counted) == len(modules)


def test_a_link_taken_out_is_noticed(followed: Steps) -> None:
    readme = (ROOT / "README.md").read_text()
    without = re.sub(r"\[[^\]]+\]\(functions/prediction/decisions\.py\)", "the queue", readme, count=1)
    assert without != readme
    assert steps_of(without) != without_words(followed)


def test_two_links_the_wrong_way_round_are_noticed(followed: Steps) -> None:
    readme = (ROOT / "README.md").read_text()
    first, second = "millrace/state/slots.py", "millrace/state/table.py"
    turned = readme.replace(first, "once").replace(second, first).replace("once", second)
    assert turned != readme
    assert steps_of(turned) != without_words(followed)
