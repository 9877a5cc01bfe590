"""The windows function: what it lists, writes and answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog

from millrace.aws.objects import read_object
from millrace.contract.load import load_contract
from millrace.datasets.label_rows import labels_between
from millrace.decisions.record import prefix
from millrace.decisions.scored import delivered_key, reference_key
from millrace.messages.monitor import MonitorRequest, WindowsPlanned
from millrace.names import Platform, WorkloadNames
from millrace.state.cursors import Cursor
from millrace.state.pointers import Pointers
from millrace.workload.load import load_workload
from millrace.workload.policy import Policy
from tests.builders import version
from tests.functions.conftest import Aws
from tests.shipped import ELECTRICITY

Load = Callable[[str], Callable[[dict[str, Any]], dict[str, Any]]]
Event = Callable[..., dict[str, Any]]
CHAMPION = version("1", baseline_uri="s3://millrace-local-artefacts-123456789012-eu-west-1/b.json")


def decide(aws: Aws, day: date) -> str:
    key = f"{prefix('electricity', day)}x.jsonl"
    aws.put(f"s3://{aws.names.platform.bucket('lake')}/{key}", "")
    return key


def read(aws: Aws, uri: str) -> bytes:
    return read_object(aws.s3, uri)


def test_without_a_champion_there_is_nothing_to_compare_with(load: Load, event: Event) -> None:
    assert load("plan_windows")(event("plan_windows"))["reason"] == "no_champion"


def test_without_a_complete_window(aws: Aws, load: Load, event: Event) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))
    decide(aws, date(1997, 1, 30))
    answer = load("plan_windows")(event("plan_windows"))
    assert (answer["count"], answer["reason"]) == (0, "none_complete")


def test_where_labels_are_doubted_the_job_is_told_when_the_champion_was_registered(
    aws: Aws, load: Load, event: Event
) -> None:
    made = aws.sagemaker.create_model_package(ModelPackageGroupName=aws.names.package_group)
    aws.pointers.move(Pointers(champion=replace(CHAMPION, package_arn=made["ModelPackageArn"])))
    decide(aws, date(1997, 1, 1))
    handler, told = load("plan_windows"), []
    module = sys.modules["millrace.functions.plan_windows.handler"]
    for policy in (None, Policy(label_errors_a_day=1)):
        module.ROOM.workload = module.ROOM.workload.model_copy(update={"policy": policy})  # type: ignore[attr-defined]
        planned = WindowsPlanned.model_validate(handler(event("plan_windows")))
        told.append(MonitorRequest.model_validate_json(read(aws, planned.config_uri + "request.json")).registered_at)
    package = aws.sagemaker.describe_model_package(ModelPackageName=made["ModelPackageArn"])
    assert told == [None, package["CreationTime"]]


def test_a_day_that_has_not_come_is_not_judged(aws: Aws, load: Load, event: Event) -> None:
    """Its windows look complete by `as_of`, and their cursors would move past rows that are still to come."""
    aws.pointers.move(Pointers(champion=CHAMPION))
    decide(aws, date(1997, 1, 1))
    asked = event("plan_windows")
    asked["state"]["started"] = "1997-01-05T12:00:00Z"
    answer = load("plan_windows")(asked)
    assert (answer["count"], answer["reason"]) == (0, "not_yet")
    asked["state"]["started"] = asked["state"]["as_of"]
    assert load("plan_windows")(asked)["count"] == 4


def test_complete_windows_from_the_first_decision_on(aws: Aws, load: Load, event: Event) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))
    keys = [decide(aws, day) for day in (date(1997, 1, 1), date(1997, 1, 20), date(1997, 1, 28), date(1997, 1, 30))]
    planned = WindowsPlanned.model_validate(load("plan_windows")(event("plan_windows")))
    assert (planned.count, planned.decisions, planned.model_version) == (4, 3, "1")
    assert planned.baseline_uri == CHAMPION.baseline_uri
    first, *paths = json.loads(read(aws, planned.manifest_uri))
    assert [first["prefix"] + path for path in paths[1:]] == [
        f"s3://{aws.names.platform.bucket('lake')}/{key}" for key in keys[:3]
    ]
    assert read(aws, first["prefix"] + paths[0]) == b""
    request = MonitorRequest.model_validate_json(read(aws, planned.config_uri + "request.json"))
    assert [window.start.day for window in request.windows] == [1, 8, 15, 22]
    assert request.as_of == datetime(1997, 2, 1, 6, tzinfo=UTC)
    for name in ("workload.yaml", "contract.yaml"):
        assert read(aws, planned.config_uri + name)


def test_the_job_s_volume_counts_the_files_that_decisions_lie_in(aws: Aws, load: Load, event: Event) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))
    lake = aws.names.platform.bucket("lake")
    decide(aws, date(1997, 1, 1))
    aws.put(f"s3://{lake}/{reference_key('electricity', date(1997, 1, 2), 'a')}", "")
    assert load("plan_windows")(event("plan_windows"))["volume_gb"] == 30, "the objects are empty, and the file is gone"
    aws.put(f"s3://{lake}/{delivered_key('electricity', 'a')}", "rows")
    assert load("plan_windows")(event("plan_windows"))["volume_gb"] == 31


def test_days_before_the_first_window_are_counted_once(aws: Aws, load: Load, event: Event) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))
    for day in (date(1990, 6, 1), date(1990, 6, 2), date(1997, 1, 20)):
        decide(aws, day)
    assert load("plan_windows")(event("plan_windows"))["days_left_out"] == 2
    Cursor(name="monitor", window_end=datetime(1997, 1, 22, tzinfo=UTC)).put(aws.state)
    assert load("plan_windows")(event("plan_windows"))["days_left_out"] == 0


def test_the_cursors_are_followed(aws: Aws, load: Load, event: Event) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))
    decide(aws, date(1997, 1, 1))
    for name in ("monitor", "monitor-error"):
        Cursor(name=name, window_end=datetime(1997, 1, 22, tzinfo=UTC)).put(aws.state)
    planned = WindowsPlanned.model_validate(load("plan_windows")(event("plan_windows")))
    request = MonitorRequest.model_validate_json(read(aws, planned.config_uri + "request.json"))
    assert [(w.start.day, w.judge_input, w.judge_error) for w in request.windows] == [
        (8, False, False), (15, False, False), (22, True, True),
    ]  # fmt: skip


class Shelf:
    """A lake whose tables lie in memory."""

    contract = load_contract(ELECTRICITY)
    names = WorkloadNames(platform=Platform(stage="local", account="1", region="eu-west-1"), workload="electricity")

    def __init__(self, table: Any, rows: Any = None) -> None:
        self._tables = {"labels": table, "rows": rows}

    def find(self, name: str) -> Any:
        return self._tables[name]


@pytest.fixture
def put(tmp_path: Any) -> Callable[[str, pa.Table], Any]:
    """`put("labels", rows)`: a table of Iceberg with these rows."""
    catalog = InMemoryCatalog("x", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("n")

    def stored(name: str, rows: pa.Table) -> Any:
        table = catalog.create_table(f"n.{name}", schema=rows.schema)
        table.append(rows)
        return table

    return stored


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_labels_of_the_windows_only(zone: str | None, put: Callable[[str, pa.Table], Any]) -> None:
    times = [datetime(1997, 1, day, hour) for day, hour in ((1, 0), (7, 23), (8, 0))]  # noqa: DTZ001 - as the contract has it
    rows = pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("us", zone)),
            "class": pa.array([0, 1, 1], pa.int32()),
            "_source": ["a", "a", "b"],
        }
    )
    table, prediction_spec = put("labels", rows), load_workload(ELECTRICITY).prediction
    start, end = datetime(1997, 1, 1, tzinfo=UTC), datetime(1997, 1, 8, tzinfo=UTC)
    found = labels_between(Shelf(table), prediction_spec, start, end)  # type: ignore[arg-type]
    assert (found.column_names, found["class"].to_pylist()) == (["timestamp", "class"], [0, 1])
    assert labels_between(Shelf(None), prediction_spec, start, end) is None  # type: ignore[arg-type]


def test_labels_without_a_time_of_their_own_come_any_time_after_the_window(
    put: Callable[[str, pa.Table], Any],
) -> None:
    """Their time is that of their drop: they name their predictions."""
    folder = ELECTRICITY.parent / "xray"
    times = [datetime(2024, 1, day, tzinfo=UTC) for day in (7, 9, 26)]
    columns = {
        "id": list("abc"),
        "at": pa.array(times, pa.timestamp("us", "UTC")),
        "label": pa.array([0, 1, 1], pa.int32()),
    }
    shelf = Shelf(put("labels", pa.table(columns | {"prediction_id": list("xyz")})))
    shelf.contract = load_contract(folder)
    start, end = datetime(2024, 1, 8, tzinfo=UTC), datetime(2024, 1, 15, tzinfo=UTC)
    found = labels_between(shelf, load_workload(folder).prediction, start, end)  # type: ignore[arg-type]
    assert found is not None
    assert found["prediction_id"].to_pylist() == ["y", "z"]


def test_a_later_row_is_the_truth_where_a_label_lies_ahead(put: Callable[[str, pa.Table], Any]) -> None:
    """Measured rows of `rows` too, after the labels, which may correct them; only where the label is 24 hours ahead."""
    hours = [datetime(2013, 1, 8, hour) for hour in range(4)]  # noqa: DTZ001 - as the contract has it

    def table(name: str, pm25: list[float | None], **more: list[Any]) -> Any:
        times = pa.array(hours[: len(pm25)], pa.timestamp("us"))
        return put(name, pa.table({"timestamp": times, "pm2.5": pa.array(pm25, pa.float64()), **more}))

    labels = table("labels", [10.0, 20.0], prediction_id=["x", "y"])
    shelf = Shelf(labels, table("rows", [11.0, None, 30.0, 40.0], DEWP=[1.0, 2.0, 3.0, 4.0]))
    folder = ELECTRICITY.parent / "air_quality"
    shelf.contract, prediction_spec = load_contract(folder), load_workload(folder).prediction
    start, end = datetime(2013, 1, 7, tzinfo=UTC), datetime(2013, 1, 7, 3, tzinfo=UTC)
    found = labels_between(shelf, prediction_spec, start, end)  # type: ignore[arg-type]
    assert found.select(["timestamp", "pm2.5", "prediction_id"]).to_pylist() == [
        {"timestamp": hours[0], "pm2.5": 10.0, "prediction_id": "x"},
        {"timestamp": hours[1], "pm2.5": 20.0, "prediction_id": "y"},
        {"timestamp": hours[0], "pm2.5": 11.0, "prediction_id": None},
        {"timestamp": hours[2], "pm2.5": 30.0, "prediction_id": None},
    ]
    own = prediction_spec.model_copy(update={"horizon_hours": 0.0})
    found = labels_between(shelf, own, datetime(2013, 1, 8, tzinfo=UTC), datetime(2013, 1, 9, tzinfo=UTC))  # type: ignore[arg-type]
    assert found is not None
    assert found["pm2.5"].to_pylist() == [10.0, 20.0]
