"""Where a label lies ahead, the truth of a decision is a later row of either feed."""

# ruff: noqa: DTZ001 the contract's time has no zone
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.console.environment import Environment
from millrace.console.queries.labels import find_labels
from millrace.contract.load import load_contract
from millrace.contract.schema import parsed_schema
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from millrace.decisions.record import Decision, canonical
from millrace.names import WorkloadNames
from tests import builders
from tests.millrace.datasets import conftest
from tests.shipped import WORKLOADS

ASKED = datetime(2013, 1, 5, 7)
AHEAD = timedelta(hours=24)
names = conftest.names


@pytest.fixture
def lake(names: WorkloadNames) -> Lake:
    return Lake(replace(names, workload="air_quality"), load_contract(WORKLOADS / "air_quality"))


def drop(lake: Lake, feed: str, hours: dict[datetime, float | None]) -> None:
    schema = parsed_schema(lake.contract.table("training" if feed == "rows" else "labels"))
    given = {"timestamp": list(hours), "pm2.5": list(hours.values()), "_line": range(len(hours))}
    rows = pa.table({name: given.get(name, [None] * len(hours)) for name in schema.names}, schema=schema)
    commit(lake, feed, rows, conftest.source_of(f"air_quality/{feed}/{len(hours)}.csv"))


def asked() -> Decision:
    return builders.decision(
        id="p-1",
        workload="air_quality",
        event_time=ASKED.replace(tzinfo=UTC),
        key={"timestamp": ASKED.isoformat()},
        input=canonical({}),
        output={"value": 100.0},
        inferred_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_row_a_day_later_is_the_label_until_one_comes_as_such(lake: Lake, cloud: Cloud) -> None:
    environment = Environment(platform=lake.names.platform, client=cloud.client)

    def told() -> list[tuple[float, bool, float, str]]:
        found = find_labels(environment, lake.names, [asked()])
        return [(one.value, one.counts, one.hours, one.drop) for one in found.get("p-1", ())]

    assert told() == []
    drop(lake, "rows", {ASKED: 1.0, ASKED + AHEAD: 90.5, ASKED + 2 * AHEAD: 2.0})
    assert told() == [(90.5, True, 24, "air_quality/rows/3.csv")]
    drop(lake, "rows", {ASKED + AHEAD + timedelta(hours=1): None})
    drop(lake, "labels", {ASKED + AHEAD: 91.0})
    assert told() == [(91.0, True, 24, "air_quality/labels/1.csv")]
