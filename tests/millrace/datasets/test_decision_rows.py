"""Labels that come late find their decisions and become training rows, each once."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.contract.schema import parsed_schema
from millrace.datasets import decision_rows, labelled_rows
from millrace.datasets.commits import commit
from millrace.datasets.decision_rows import join_labels
from millrace.datasets.label_rows import count_labels_since
from millrace.datasets.labels import LabelColumns
from millrace.datasets.notes import LABELS_SNAPSHOT
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import matching, take_out
from millrace.decisions.record import Decision, canonical, prefix, to_line
from millrace.messages.train import JoinedLabels
from millrace.names import WorkloadNames
from millrace.workload.declaration import Prediction
from millrace.workload.load import load_workload
from tests import builders
from tests.millrace.datasets.conftest import source_of
from tests.millrace.datasets.joined_load import put_scored

FOLDER = Path(__file__).parents[3] / "workloads" / "electricity"
AIR = Path(__file__).parents[3] / "workloads" / "air_quality"
PREDICTION_SPEC: Prediction = load_workload(FOLDER).prediction
SAMPLE = pq.read_table(FOLDER / "sample" / "elec2.parquet")


def decision(row: dict[str, Any], *, name: str = "", minute: int = 0, **changes: Any) -> Decision:
    features = {name: row[name] for name in PREDICTION_SPEC.feature_columns} | changes
    return builders.decision(
        id=name or f"p-{row['timestamp'].isoformat()}",
        event_time=row["timestamp"].replace(tzinfo=UTC),
        key={"timestamp": row["timestamp"].isoformat()},
        input=canonical(features),
        output={"value": 1, "probability": 0.7, "confidence": 0.7},
        inferred_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute),
    )


def keep(cloud: Any, lake: Lake, decisions: list[Decision], name: str = "a") -> None:
    for day in {each.event_time.date() for each in decisions}:
        lines = "".join(to_line(each) + "\n" for each in decisions if each.event_time.date() == day)
        bucket = lake.names.platform.bucket("lake")
        cloud.client("s3").put_object(
            Bucket=bucket, Key=f"{prefix(lake.names.workload, day)}{name}.jsonl", Body=lines.encode()
        )


def join_all(
    lake: Lake, s3: Any, prediction_spec: Prediction, *, run: str, portion_rows: int = 1_000_000
) -> tuple[int, int, int]:
    """How many labels have rows by this run, no decision, and a refused row, after as many calls as it takes."""
    joined: JoinedLabels | None = None
    while joined is None or joined.has_more:
        joined = join_labels(lake, s3, prediction_spec, run=run, before=joined, portion_rows=portion_rows)
    return joined.rows, joined.unmatched, joined.refused


def label(lake: Lake, first: int, number: int, ids: list[str | None] | None = None) -> None:
    part = SAMPLE.slice(first, number).select(["timestamp", "class"])
    part = part.append_column("prediction_id", pa.array(ids or [None] * number, pa.string()))
    part = part.append_column("_line", pa.array(np.arange(number)))
    commit(lake, "labels", part, source_of(f"electricity/labels/{first}-{number}.csv"))


BESIDE = ["class", "_source", "_arrived"]


def inputs(number: int) -> pa.Table:
    return SAMPLE.slice(0, number).drop_columns(["class"])


def rows(lake: Lake) -> pa.Table:
    return lake.open("rows").scan().to_arrow().sort_by("timestamp")


def test_labels_with_their_decisions_are_rows_as_they_were_scored(lake: Lake, cloud: Any) -> None:
    s3 = cloud.client("s3")
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 96).to_pylist()])
    label(lake, 0, 120)
    assert join_all(lake, s3, PREDICTION_SPEC, run="r1") == (96, 24, 0)
    found = rows(lake)
    assert found.drop_columns(BESIDE).cast(inputs(96).schema).equals(inputs(96))
    assert found["class"].null_count == 96, "labels stay in their table"
    assert set(found["_source"].to_pylist()) == {"electricity/labels/0-120.csv"}
    snapshot = lake.open("rows").current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[LABELS_SNAPSHOT] == str(lake.open("labels").metadata.current_snapshot_id)


def test_labels_of_a_scored_file_are_rows_as_they_were_scored(lake: Lake, cloud: Any) -> None:
    """By key and time, and by the id of the decision. The file has many more rows than there are labels."""
    s3, drop = cloud.client("s3"), "9f86d081"
    put_scored(s3, lake, drop, inputs(480))
    label(lake, 0, 50, ids=[None] * 48 + [f"{drop}-50", f"{drop}-999"])
    assert join_all(lake, s3, PREDICTION_SPEC, run="r1") == (49, 1, 0)
    assert rows(lake).drop_columns(BESIDE).cast(inputs(49).schema).equals(inputs(49))


@pytest.mark.parametrize("moment", ["before the commit", "after the commit", "dies behind it"])
def test_a_label_that_is_withdrawn_meanwhile_brings_no_row(
    moment: str, lake: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever withdraws looks at the labels first and then at the rows, which the run has not written yet, or has."""
    s3, gone = cloud.client("s3"), SAMPLE.slice(3, 1)
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 48).to_pylist()])
    label(lake, 0, 48)
    write, leave = decision_rows._commit, decision_rows._leave

    def write_beside(*given: Any) -> None:
        if moment == "after the commit":
            write(*given)
        leaves = matching(gone, ["timestamp"])
        assert take_out(lake, "labels", lambda _: leaves, {}) == 1
        assert take_out(lake, "rows", lambda _: leaves, {}) == (moment == "after the commit")
        if moment != "after the commit":
            write(*given)

    def die(*_: Any) -> int:
        raise TimeoutError

    monkeypatch.setattr(decision_rows, "_commit", write_beside)
    if moment == "dies behind it":
        monkeypatch.setattr(decision_rows, "_leave", die)
        with pytest.raises(TimeoutError):
            join_all(lake, s3, PREDICTION_SPEC, run="r1")
        assert rows(lake).num_rows == 48, "the withdrawn row is in"
    else:
        assert join_all(lake, s3, PREDICTION_SPEC, run="r1")[0] in (47, 48)
        assert rows(lake).num_rows == 47
    monkeypatch.setattr(decision_rows, "_commit", write)
    monkeypatch.setattr(decision_rows, "_leave", leave)
    join_all(lake, s3, PREDICTION_SPEC, run="r1")
    assert join_all(lake, s3, PREDICTION_SPEC, run="r2") == (0, 0, 0)
    assert rows(lake).num_rows == 47
    assert gone["timestamp"][0].as_py() not in rows(lake)["timestamp"].to_pylist()


def test_a_row_that_the_contract_refuses_does_not_come_in(lake: Lake, cloud: Any) -> None:
    good, bad = SAMPLE.slice(0, 2).to_pylist()
    keep(cloud, lake, [decision(good), decision(bad, vicprice=7.0)])
    label(lake, 0, 2)
    assert join_all(lake, cloud.client("s3"), PREDICTION_SPEC, run="r") == (1, 0, 1)


@pytest.mark.parametrize("line", [b"{}", b"not json", b""])
def test_a_line_that_is_no_decision_is_passed_over(line: bytes, lake: Lake, cloud: Any) -> None:
    bucket = lake.names.platform.bucket("lake")
    key = f"{prefix('electricity', datetime(1996, 5, 7, tzinfo=UTC).date())}x.jsonl"
    good = to_line(decision(SAMPLE.slice(0, 1).to_pylist()[0])).encode()
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=line + b"\n" + good + b"\n")
    label(lake, 0, 1)
    assert join_all(lake, cloud.client("s3"), PREDICTION_SPEC, run="r")[0] == 1


@pytest.fixture
def air(names: WorkloadNames) -> Lake:
    """Of a label 24 hours ahead."""
    return Lake(WorkloadNames(platform=names.platform, workload="air_quality"), load_contract(AIR))


def hourly(row: dict[str, Any], name: str = "") -> Decision:
    """As it was requested, with the hours before it."""
    plain = {key: cell.isoformat() if isinstance(cell, datetime) else cell for key, cell in row.items()}
    return builders.decision(
        id=name or f"p-{plain['timestamp']}",
        workload="air_quality",
        event_time=row["timestamp"].replace(tzinfo=UTC),
        key={"timestamp": plain["timestamp"]},
        input=canonical(plain | {"history": [{"timestamp": "2013-01-01T00:00:00", "pm2.5": 1.0}]}),  # type: ignore[dict-item]
        output={"value": 90.0},
        inferred_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("is_named", [False, True], ids=["by its hour", "by the prediction that it answers"])
def test_a_label_ahead_completes_the_row_of_its_own_hour(air: Lake, cloud: Any, is_named: bool) -> None:
    """The row of an hour is what was known then; its own measurement is the truth of the day before."""
    hours = pq.read_table(AIR / "sample" / "beijing_pm25.parquet").slice(17_544, 60).to_pylist()
    keep(cloud, air, [hourly(row) for row in hours])
    before = {row["timestamp"] + timedelta(hours=24): hourly(row).id for row in hours}
    late = [row for row in hours if row["pm2.5"] is not None]
    labels = pa.Table.from_pylist(
        [
            {
                "timestamp": row["timestamp"],
                "pm2.5": row["pm2.5"],
                "prediction_id": before.get(row["timestamp"]) if is_named else None,
                "_line": line,
            }
            for line, row in enumerate(late)
        ],
        schema=parsed_schema(air.contract.labels),
    )
    commit(air, "labels", labels, source_of("air_quality/labels/x"))
    taken = join_all(air, cloud.client("s3"), load_workload(AIR).prediction, run="r")
    assert taken == (len(late), 0, 0)
    made = [row | {"pm2.5": None, "dew_spread": row["TEMP"] - row["DEWP"]} for row in late]
    assert rows(air).drop_columns(["_source", "_arrived"]).to_pylist() == made
    found = labelled_rows.join(air, LabelColumns.of(load_workload(AIR).prediction, "air_quality"), rows(air)).joined()
    assert found["pm2.5"].to_pylist() == [row["pm2.5"] for row in late]


def test_labels_of_a_period_count_once_though_they_became_rows(lake: Lake, cloud: Any) -> None:
    """Rows that came with their label count too, and those without do not."""
    since = SAMPLE["timestamp"][40].as_py().replace(tzinfo=UTC)
    assert count_labels_since(lake, PREDICTION_SPEC, since) == 0
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 96).to_pylist()])
    label(lake, 0, 96)
    assert join_all(lake, cloud.client("s3"), PREDICTION_SPEC, run="r")[0] == 96
    assert count_labels_since(lake, PREDICTION_SPEC, since) == 56
    came = SAMPLE.slice(96, 20).append_column("_line", pa.array(np.arange(20)))
    classes = pa.array([None] * 5 + came["class"].to_pylist()[5:], came["class"].type)
    came = came.set_column(came.column_names.index("class"), "class", classes)
    commit(lake, "rows", came, source_of("electricity/training/may.parquet"))
    assert count_labels_since(lake, PREDICTION_SPEC, since) == 56 + 15


def test_no_decision_becomes_an_object(lake: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training's memory grows by some columns of the decisions of labels: an object takes 1.7 kB."""
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 96).to_pylist()])
    label(lake, 0, 48)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a decision became an object")

    monkeypatch.setattr(Decision, "__init__", refuse)
    assert join_all(lake, cloud.client("s3"), PREDICTION_SPEC, run="r") == (48, 0, 0)


def test_labels_in_portions_read_each_decision_once(lake: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A portion has the labels of some days, and looks at the decisions of these days alone."""
    s3, read = cloud.client("s3"), Counter[str]()
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 192).to_pylist()])
    label(lake, 0, 192)
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: read.update([params["Key"]]))
    assert join_all(lake, s3, PREDICTION_SPEC, run="r") == (192, 0, 0)
    assert [times for key, times in read.items() if "/decisions/" in key] == [1] * 4


class Killed(BaseException):
    """Nothing in the function catches it."""


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(each, marks=pytest.mark.night("by day four of forty")) for each in range(4, 40))]
)
@pytest.mark.parametrize("way", ["by time", "by hash"])
def test_labels_in_any_portions_and_killed_anywhere_make_the_rows_of_one_piece(
    seed: int, way: str, pair: tuple[Lake, Lake], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions come twice, labels are corrected, name a decision, another one or none, and some have no decision."""
    chance, some, (lake, whole) = random.Random(seed), SAMPLE.slice(0, 96).to_pylist(), pair
    asked = [row for row in some if chance.random() < 0.8]
    decided = [decision(row, name=f"p-{at}", minute=at, vicprice=at / 1000) for at, row in enumerate(asked * 2)]
    starts = [(chance.randrange(64), chance.randrange(1, 32)) for _ in range(5)]
    ids = [[chance.choice([None, None, f"p-{chance.randrange(150)}"]) for _ in range(count)] for _, count in starts]
    for each in pair:
        keep(cloud, each, decided)
        for (first, count), named in zip(starts, ids, strict=True):
            label(each, first, count, named)
    if way == "by hash":
        monkeypatch.setattr(labelled_rows, "SECOND", 10**15)
    write, end = decision_rows._commit, decision_rows._leave

    def die(step: Any, *given: Any) -> None:
        for _ in range(chance.randrange(2)):
            step(*given)
            if chance.random() < 0.3:
                raise Killed
        step(*given)

    expected, s3 = join_all(whole, cloud.client("s3"), PREDICTION_SPEC, run="r"), cloud.client("s3")
    monkeypatch.setattr(decision_rows, "_commit", partial(die, write))
    monkeypatch.setattr(decision_rows, "_leave", partial(die, end))
    joined: JoinedLabels | None = None
    portion_rows = chance.choice([1, 5, 20])
    while joined is None or joined.has_more:
        before = joined and JoinedLabels.model_validate_json(joined.model_dump_json())
        with suppress(Killed):
            joined = join_labels(lake, s3, PREDICTION_SPEC, run="r", before=before, portion_rows=portion_rows)
    assert (joined.rows, joined.unmatched, joined.refused) == expected
    assert rows(lake).equals(rows(whole))
    assert (joined.done, joined.time) == (len(joined.cuts) + 1, "timestamp" if way == "by time" else "")


def test_portions_are_alike_though_all_keys_are_whole_seconds(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a portion has are about one time. As numbers all keys are multiples of 4."""
    monkeypatch.setattr(labelled_rows, "SECOND", 10**15)
    label(lake, 0, 192)
    labels = lake.open("labels")
    portions = labelled_rows.Portions.of(labels, ("timestamp",), "timestamp", rows=48)
    sizes = [portions.read(labels, ["timestamp"], number).num_rows for number in range(len(portions))]
    assert (len(sizes), sum(sizes), min(sizes) > 30) == (4, 192, True)
