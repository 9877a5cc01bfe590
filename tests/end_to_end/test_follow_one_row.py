"""One row is followed from its drop to its recorded decision: which processes it enters, and how many modules of ours.

A process calls functions of ours for the row; their modules count, each once in all. What it calls while nothing
happens does not count, nor does an import. The rules of a contract count as one, and so do the encoders."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from millrace.console.demo.months import SAMPLE
from millrace.console.local_cloud.local_cloud import LocalCloud
from tests import builders
from tests.end_to_end.conftest import Lived, control

IDLE_S = 2.5
"""Longer than the turn that a server takes when nobody asks it."""
PROCESSES = (
    "millrace/functions/intake/handler.py",
    "millrace/functions/ingestion/handler.py",
    "millrace/functions/validation/handler.py",
    "millrace/functions/cleanup/handler.py",
    "millrace/functions/prediction/handler.py",
    "millrace/jobs/serving/server.py",
    "millrace/functions/decisions/handler.py",
)
"""The first module of each process that the row enters, in order."""
MOST_MODULES = 61
"""How many modules of ours whoever follows a row has to read, from the drop to the recorded decision."""
AS_ONE = ("millrace/contract/rules", "millrace/features")
Steps = list[list[str]]


def entered(lines: Iterable[str]) -> Steps:
    """The modules of each process, by what the recorders wrote."""
    processes: dict[str, dict[str, None]] = {}
    for line in lines:
        process, module, _ = line.split(" ", 2)
        processes.setdefault(process, {}).setdefault(next((one for one in AS_ONE if module.startswith(one)), module))
    return [list(modules) for modules in processes.values()]


def drop(row: dict[str, Any]) -> bytes:
    return builders.parquet(pa.Table.from_pylist([row], schema=pq.read_schema(SAMPLE)))


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
def followed(lived: Lived, catalog: GlueCatalog) -> Steps:
    """One row, half an hour after the last one of the sample, is dropped; then its prediction is asked.

    Another one goes before it: what a process does once only is no part of a row's way."""
    cloud, names = lived.cloud, lived.names
    row = pq.read_table(SAMPLE).slice(pq.read_metadata(SAMPLE).num_rows - 1).to_pylist()[0]
    _drop_and_ask(lived, row | {"timestamp": row["timestamp"] + timedelta(hours=1)}, "before.parquet")
    iceberg = catalog.load_table((names.platform.database, names.table("rows")))
    before = iceberg.current_snapshot()
    assert before is not None
    with entering(cloud) as lines:
        time.sleep(IDLE_S)
        idle = len(lines())
        _drop_and_ask(lived, row | {"timestamp": row["timestamp"] + timedelta(minutes=30)}, "one.parquet")
        found = entered(lines()[idle:])
    iceberg.refresh()
    after = iceberg.current_snapshot()
    assert after is not None
    assert after.parent_snapshot_id == before.snapshot_id, "the row is in the table"
    return found


def _drop_and_ask(lived: Lived, row: dict[str, Any], name: str) -> None:
    lived.put("training", name, drop(row))
    lived.rest()
    asked = {**{name: row[name] for name in row if name != "class"}, "timestamp": row["timestamp"].isoformat()}
    answer = lived.cloud.client("lambda").invoke(
        FunctionName=lived.names.prediction, Payload=json.dumps({"rows": [asked]})
    )
    said = json.load(answer["Payload"])
    assert [each["fallback"] for each in said["predictions"]] == [False], said
    lived.rest()


def test_a_row_goes_from_process_to_process(followed: Steps) -> None:
    houses = ("millrace/functions/", "millrace/jobs/")
    firsts = [next(module for module in modules if module.startswith(houses)) for modules in followed]
    assert firsts == list(PROCESSES)


def test_a_row_enters_few_modules(followed: Steps) -> None:
    modules = {module for process in followed for module in process}
    assert len(modules) <= MOST_MODULES, json.dumps(followed, indent=1)
