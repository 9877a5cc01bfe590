"""A label that comes again with another value: the later one counts, in whatever order they are ingested."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.contract.schema import parsed_schema
from millrace.contract.validate import validate
from millrace.datasets import corrections, new_rows, relabelled_rows
from millrace.datasets.commits import commit, commit_once
from millrace.datasets.corrections import current
from millrace.datasets.joined_labels import JoinedLabels, join_labels
from millrace.datasets.journal import Journal
from millrace.datasets.label_rows import labels_between
from millrace.datasets.new_rows import RowsInFile, Source
from millrace.datasets.notes import ARRIVAL
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.relabelled_rows import restore_rows
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.datasets.withdrawal import by_drop, withdraw
from tests.millrace.datasets.test_joined_labels import PREDICTION_SPEC, SAMPLE, decision, keep, rows

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = 0, 1


def drop_labels(
    lake: Lake,
    folder: Path,
    name: str,
    classes: list[int | None],
    *,
    day: int,
    first: int = 0,
    sequencer: str = "",
    digest: str = "",
) -> tuple[int, int]:
    """How many rows of a drop, which arrived that day, were accepted and refused."""
    part = SAMPLE.slice(first, len(classes)).select(["timestamp"])
    columns = {"timestamp": part["timestamp"], "class": pa.array(classes, pa.int32())}
    table = pa.table({**columns, "prediction_id": pa.nulls(len(classes), pa.string()), "_line": range(len(classes))})
    parsed = folder / f"{name.replace('/', '-')}-{day}.parquet"
    pq.write_table(table.cast(parsed_schema(lake.contract.labels)), parsed)
    key = f"electricity/labels/{name}.csv"
    source = Source(
        uri=f"s3://landing/{key}?versionId={day}",
        key=key,
        digest=digest or f"{name}-{day}",
        written_by=f"{name}-{day}",
        sequencer=sequencer,
        arrived=FIRST + timedelta(days=day),
    )

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(folder / "refused", drop_id="r", source=source.uri, as_of=FIRST) as refused:
            yield refused

    new = RowsInFile(lake, "labels", lake.contract.labels, parsed=parsed, source=source, quarantine=quarantine)
    done = commit_once(lake, "labels", source, new.write)
    return done.rows_added, done.rows_quarantined


def drop_rows(lake: Lake, number: int, *, day: int) -> None:
    """Rows with their labels, as a training drop brings them."""
    table = SAMPLE.slice(0, number).append_column("_line", pa.array(np.arange(number)))
    key = "electricity/training/may.parquet"
    source = Source(uri=f"s3://landing/{key}", key=key, digest="may", written_by="may")
    commit(lake, "rows", table, source, notes={ARRIVAL: (FIRST + timedelta(days=day)).isoformat()})


def test_a_label_is_corrected_back_by_the_very_bytes_that_brought_it(lake: Lake, tmp_path: Path) -> None:
    """Nothing is new in them where no other label came in between."""
    told = [(1, OLD, "a"), (2, NEW, "b"), (3, OLD, "a"), (4, OLD, "a"), (5, NEW, "b")]
    added = [drop_labels(lake, tmp_path, f"day{day}", [one], day=day, digest=digest) for day, one, digest in told]
    assert added == [(1, 0), (1, 0), (1, 0), (0, 0), (1, 0)]
    assert counted(lake) == [NEW]
    assert drop_labels(lake, tmp_path, "day3", [OLD], day=3, digest="a") == (1, 0), "a retry is told the same"
    assert stored(lake) == [OLD, OLD, NEW, NEW]


@pytest.mark.parametrize("by_labels", [False, True], ids=["rows", "labels"])
def test_a_drop_notes_how_many_of_its_labels_are_of_keys_that_had_one(
    lake: Lake, tmp_path: Path, by_labels: bool
) -> None:
    """Of three rows two have a label already: by a training drop, or by a file of labels."""
    if by_labels:
        drop_labels(lake, tmp_path, "may", [OLD, OLD], day=1)
    else:
        drop_rows(lake, 2, day=1)
    drop_labels(lake, tmp_path, "june", [NEW], day=2, first=2)
    assert noted(lake, "june") == 0
    drop_labels(lake, tmp_path, "again", [NEW, NEW, OLD], day=3, sequencer="1")
    assert noted(lake, "again") == 3
    # A later version of the file is compared with the others, not with the one that leaves.
    drop_labels(lake, tmp_path, "again", [NEW, NEW, OLD, OLD], day=4, sequencer="2")
    assert noted(lake, "again") == 3


def noted(lake: Lake, name: str) -> int:
    """What the last commit of the drop says."""
    table = lake.find("labels")
    assert table is not None
    return Journal.of(table).about(f"electricity/labels/{name}.csv")[-1].labelled_before


def stored(lake: Lake) -> list[int]:
    table = lake.find("labels")
    assert table is not None
    return sorted(table.scan().to_arrow()["class"].to_pylist())


def counted(lake: Lake) -> list[int]:
    """What the monitors are given."""
    found = labels_between(lake, PREDICTION_SPEC, datetime(1996, 1, 1, tzinfo=UTC), datetime(1998, 1, 1, tzinfo=UTC))
    assert found is not None
    return found.sort_by("timestamp")["class"].to_pylist()


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_label_that_arrived_later_counts_in_both_orders(
    lake: Lake, cloud: Any, tmp_path: Path, order: tuple[int, int]
) -> None:
    values = {1: [OLD], 2: [NEW]}
    for day in order:
        assert drop_labels(lake, tmp_path, f"day{day}", values[day], day=day) == (1, 0)
    assert stored(lake) == [OLD, NEW], "both are kept"
    assert counted(lake) == [NEW]
    keep(cloud, lake, [decision(SAMPLE.slice(0, 1).to_pylist()[0])])
    assert join_labels(lake, cloud.client("s3"), PREDICTION_SPEC, run="r") == JoinedLabels(
        rows=1, unmatched=0, refused=0
    )
    assert rows(lake)["class"].to_pylist() == [NEW]


def test_a_correction_that_the_model_has_chosen_is_learnt_and_judges_no_model(
    lake: Lake, cloud: Any, tmp_path: Path
) -> None:
    """Only labels that contradict the model are looked at again, so that its error would fall by them alone."""
    drop_labels(lake, tmp_path, "may", [OLD], day=1)
    drop_labels(lake, tmp_path, "review/doubted/4f1a", [NEW], day=2)
    assert stored(lake) == [OLD, NEW]
    assert counted(lake) == [OLD]
    keep(cloud, lake, [decision(SAMPLE.slice(0, 1).to_pylist()[0])])
    join_labels(lake, cloud.client("s3"), PREDICTION_SPEC, run="r")
    assert rows(lake)["class"].to_pylist() == [NEW]
    drop_labels(lake, tmp_path, "review/4f1a", [NEW], day=3)
    drop_labels(lake, tmp_path, "again", [OLD], day=4)
    drop_labels(lake, tmp_path, "june", [NEW], day=5)
    assert counted(lake) == [NEW], "any other correction counts"


def test_without_the_order_of_arrival_the_last_ingested_would_count(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    drop_labels(lake, tmp_path, "later", [NEW], day=2)
    drop_labels(lake, tmp_path, "earlier", [OLD], day=1)
    monkeypatch.setattr(corrections, "arrivals", lambda labels: np.arange(labels.num_rows)[::-1])
    assert counted(lake) == [OLD]


def test_by_the_key_alone_a_correction_would_be_a_duplicate(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: so it was before."""
    drop_labels(lake, tmp_path, "a", [OLD], day=1)
    monkeypatch.setattr(new_rows, "value_columns", lambda _: ())
    assert drop_labels(lake, tmp_path, "b", [NEW], day=2) == (0, 1)


def test_a_label_that_says_the_same_again_is_a_duplicate(lake: Lake, tmp_path: Path) -> None:
    drop_labels(lake, tmp_path, "a", [OLD, NEW], day=1)
    assert drop_labels(lake, tmp_path, "b", [OLD, NEW], day=2) == (0, 2)
    assert drop_labels(lake, tmp_path, "c", [OLD, OLD], day=3) == (1, 1), "the second is a correction"
    assert drop_labels(lake, tmp_path, "d", [OLD, OLD], day=4) == (0, 2), "of the label that counts"
    assert drop_labels(lake, tmp_path, "e", [OLD, NEW], day=5) == (1, 1), "and back again"
    assert counted(lake) == [OLD, NEW]


def test_two_lines_of_one_file_are_no_correction(lake: Lake, tmp_path: Path) -> None:
    """Nobody knows which of them is the later: the first counts, as of rows."""
    parsed = tmp_path / "twice.parquet"
    drop_labels(lake, tmp_path, "a", [OLD], day=1)
    table = pq.read_table(tmp_path / "a-1.parquet")
    pq.write_table(pa.concat_tables([table, table.set_column(1, "class", pa.array([NEW], pa.int32()))]), parsed)
    result = validate(pq.read_table(parsed), lake.contract.labels)
    assert (result.accepted["class"].to_pylist(), len(result.refused)) == ([OLD], 1)


def test_a_row_that_was_completed_before_is_corrected(lake: Lake, cloud: Any, tmp_path: Path) -> None:
    """The dataset has each row once, with the later label; a version that was pinned keeps the earlier one."""
    s3, three = cloud.client("s3"), SAMPLE.slice(0, 3)
    keep(cloud, lake, [decision(row) for row in three.to_pylist()])
    drop_labels(lake, tmp_path, "a", [OLD, OLD, NEW], day=1)
    join_labels(lake, s3, PREDICTION_SPEC, run="r1")
    before = pin(lake, "v1")
    drop_labels(lake, tmp_path, "b", [NEW], day=2, first=1)
    assert join_labels(lake, s3, PREDICTION_SPEC, run="r2") == JoinedLabels(rows=0, unmatched=0, refused=0, corrected=1)
    assert join_labels(lake, s3, PREDICTION_SPEC, run="r3") == JoinedLabels(rows=0, unmatched=0, refused=0)
    after = pin(lake, "v2")
    assert rows(lake)["class"].to_pylist() == [OLD, NEW, NEW]
    features = [name for name in three.column_names if name != "class"]
    assert rows(lake).select(features).cast(three.select(features).schema).equals(three.select(features))
    assert rows(lake)["_source"].to_pylist()[1] == "electricity/labels/b.csv"
    assert (before.rows, after.rows) == (3, 3)
    assert before.data_digest != after.data_digest
    table = lake.find("rows")
    assert table is not None
    old = table.scan(snapshot_id=before.snapshot_id).to_arrow().sort_by("timestamp")
    assert old["class"].to_pylist() == [OLD, OLD, NEW]


@pytest.mark.parametrize(("arrived", "wanted"), [(2, "label"), (4, "row")])
def test_of_a_row_with_its_label_and_a_late_label_the_later_counts(
    lake: Lake, tmp_path: Path, arrived: int, wanted: str
) -> None:
    own = SAMPLE.slice(0, 1)["class"].to_pylist()[0]
    drop_rows(lake, 1, day=arrived)
    drop_labels(lake, tmp_path, "a", [1 - own], day=3)
    done = join_labels(lake, None, PREDICTION_SPEC, run="r")
    assert done.corrected == (1 if wanted == "label" else 0)
    assert rows(lake)["class"].to_pylist() == [1 - own if wanted == "label" else own]


def test_an_overwritten_file_of_labels_corrects_the_rows_too(lake: Lake, cloud: Any, tmp_path: Path) -> None:
    s3 = cloud.client("s3")
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 2).to_pylist()])
    drop_labels(lake, tmp_path, "a", [OLD, OLD], day=1, sequencer="01")
    join_labels(lake, s3, PREDICTION_SPEC, run="r1")
    assert drop_labels(lake, tmp_path, "a", [OLD, NEW], day=2, sequencer="02") == (2, 0)
    assert join_labels(lake, s3, PREDICTION_SPEC, run="r2").corrected == 1
    assert rows(lake)["class"].to_pylist() == counted(lake) == [OLD, NEW]


FLIP = "electricity/labels/flip.csv"


@pytest.mark.parametrize(
    ("own_day", "other_day", "restored"),
    [(1, None, "own"), (1, 2, "other"), (3, 2, "own"), (1, 9, "flipped again")],
    ids=["no other label", "an earlier label", "an earlier label than the row", "a later label"],
)
def test_a_withdrawn_label_file_gives_its_rows_the_label_of_before(
    lake: Lake, tmp_path: Path, own_day: int, other_day: int | None, restored: str
) -> None:
    drop_rows(lake, 3, day=own_day)
    before = rows(lake)
    own = before["class"].to_pylist()
    other = [1 - own[0], own[1], own[2]]
    if other_day:
        drop_labels(lake, tmp_path, "other", other, day=other_day)
        join_labels(lake, None, PREDICTION_SPEC, run="r0")
    drop_labels(lake, tmp_path, "flip", [1 - one for one in own], day=5)
    join_labels(lake, None, PREDICTION_SPEC, run="r1")
    assert rows(lake)["_source"].to_pylist() == before["_source"].to_pylist(), "a row stays a row of its drop"
    preview = restore_rows(lake, FLIP, PREDICTION_SPEC, cause="w", is_preview=True)
    assert withdraw(lake, "labels", by_drop(FLIP), cause="w") == 3 - (other_day == 2 or other_day == 9)
    done = restore_rows(lake, FLIP, PREDICTION_SPEC, cause="w")
    assert done == restore_rows(lake, FLIP, PREDICTION_SPEC, cause="w"), "a retry says the same"
    assert preview == done
    assert done.left == 0
    assert rows(lake)["class"].to_pylist() == (own if restored == "own" else other)
    assert rows(lake).drop_columns(["_own_label", "_labelled_by", "class"]).equals(before.drop_columns(["class"]))
    join_labels(lake, None, PREDICTION_SPEC, run="r2")
    assert rows(lake)["class"].to_pylist() == (own if restored == "own" else other), "the next training changes nothing"
    pq.read_table(tmp_path / "flip-5.parquet")
    assert drop_labels(lake, tmp_path, "again", [1 - one for one in own], day=10, digest="flip-5")[0] > 0


def test_rows_made_of_decisions_leave_with_their_last_label(lake: Lake, cloud: Any, tmp_path: Path) -> None:
    s3 = cloud.client("s3")
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(0, 2).to_pylist()])
    drop_labels(lake, tmp_path, "a", [OLD], day=1)
    join_labels(lake, s3, PREDICTION_SPEC, run="r1")
    drop_labels(lake, tmp_path, "flip", [NEW, NEW], day=2)
    join_labels(lake, s3, PREDICTION_SPEC, run="r2")
    assert rows(lake)["class"].to_pylist() == [NEW, NEW]
    withdraw(lake, "labels", by_drop(FLIP), cause="w")
    done = restore_rows(lake, FLIP, PREDICTION_SPEC, cause="w")
    assert (done.relabelled, done.left) == (1, 1)
    assert rows(lake)["class"].to_pylist() == [OLD]
    assert rows(lake)["_source"].to_pylist() == ["electricity/labels/a.csv"]


def test_labels_of_before_arrivals_were_kept_are_the_oldest() -> None:
    key, values = ["id"], ["class"]
    table = pa.table({"id": ["a", "b", "a"], "class": [1, 2, 3]})
    assert current(table, key, values)["class"].to_pylist() == [2, 3]
    moments = pa.array([None, None, FIRST], pa.timestamp("us", "UTC"))
    assert current(table.append_column("_arrived", moments), key, values)["class"].to_pylist() == [2, 3]
    assert current(table.append_column("_arrived", moments[::-1]), key, values)["class"].to_pylist() == [1, 2]


def test_a_label_without_a_value_corrects_nothing() -> None:
    days = pa.array([FIRST, FIRST + timedelta(days=1), FIRST], pa.timestamp("us", "UTC"))
    table = pa.table({"id": ["a", "a", "b"], "class": pa.array([1, None, None], pa.int32()), "_arrived": days})
    assert current(table, ["id"], ["class"])["class"].to_pylist() == [1, None]


def test_a_correction_waits_for_another_writer(
    lake: Lake, cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_rows(lake, 2, day=1)
    own = SAMPLE.slice(0, 2)["class"].to_pylist()
    drop_labels(lake, tmp_path, "a", [1 - one for one in own], day=2)
    real, lost = relabelled_rows._replace, []

    def beaten(*given: Any) -> None:
        if not lost:
            lost.append(1)
            table = SAMPLE.slice(5, 1).append_column("_line", pa.array([0]))
            commit(
                lake, "rows", table, Source(uri="s3://l/k", key="electricity/training/k", digest="k", written_by="k")
            )
        real(*given)

    monkeypatch.setattr(relabelled_rows, "_replace", beaten)
    assert join_labels(lake, None, PREDICTION_SPEC, run="r").corrected == 2
    assert rows(lake)["class"].to_pylist()[:2] == [1 - one for one in own]
    assert rows(lake).num_rows == 3


def test_entities_of_several_columns_are_told_apart() -> None:
    from pyiceberg.expressions import Or

    found = relabelled_rows.matching(pa.table({"machine": ["a", "b"], "n": [1, 2]}), ("machine", "n"))
    assert isinstance(found, Or)
    assert len(re.findall(r"machine", str(found))) == 2


def test_the_contract_says_what_a_correction_may_change() -> None:
    contract = load_contract(Path(__file__).parents[3] / "workloads" / "electricity")
    assert corrections.value_columns(contract.labels) == ("class",)


def test_rows_without_a_label_are_counted_by_the_file_itself(lake: Lake, tmp_path: Path) -> None:
    columns = tuple(
        replace(column, required=column.required and not column.label) for column in lake.contract.rows.columns
    )
    contract = replace(lake.contract, rows=replace(lake.contract.rows, columns=columns))
    lake = Lake(lake.names, contract)
    given = SAMPLE.slice(0, 48).append_column("_line", pa.array(np.arange(48)))
    labels = pa.array([None] * 5 + given["class"].to_pylist()[5:], pa.int32())
    given = given.set_column(given.schema.get_field_index("class"), "class", labels)
    pq.write_table(given.cast(parsed_schema(contract.rows)), tmp_path / "parsed")
    source = Source(uri="s3://landing/a.parquet?versionId=1", key="a.parquet", digest="a", written_by="a")

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(tmp_path / "refused", drop_id="r", source=source.uri, as_of=FIRST) as refused:
            yield refused

    new = RowsInFile(lake, "rows", contract.rows, parsed=tmp_path / "parsed", source=source, quarantine=quarantine)
    assert commit_once(lake, "rows", source, new.write).rows_added == 48
    table = lake.find("rows")
    assert table is not None
    (entry,) = Journal.of(table)
    assert (entry.rows_added, entry.rows_labelled) == (48, 43)
