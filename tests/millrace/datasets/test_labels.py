"""Which label counts for a row when it is read: now, and by each version, whatever has become of the table since."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.aws.objects import download
from millrace.contract.schema import parsed_schema
from millrace.datasets import compaction, decision_rows, labelled_rows, read
from millrace.datasets.commits import Commit, NewDrop, commit, commit_together
from millrace.datasets.expiry import delete_unreachable, expire
from millrace.datasets.journal import Journal
from millrace.datasets.label_rows import labels_between
from millrace.datasets.labels import LabelColumns, RowLabels, current
from millrace.datasets.new_rows import RowsInFile, Source
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import Lake
from millrace.datasets.versions import LABELS_OF, DatasetVersion, pin
from millrace.datasets.withdrawal import matching, take_out, withdraw, withdraw_labels
from millrace.messages.withdrawal import Withdrawn
from tests.millrace.datasets.conftest import source_of
from tests.millrace.datasets.test_decision_rows import PREDICTION_SPEC, SAMPLE, decision, join_all, keep

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = 0, 1
KEYS = 14
"""Half hours that anything happens to."""
FLIP = "electricity/labels/flip.csv"


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
    came = {"sequencer": sequencer, "arrived": FIRST + timedelta(days=day)} | ({"digest": digest} if digest else {})
    source = source_of(f"electricity/labels/{name}.csv", f"{name}-{day}", **came)
    done = drop_file(lake, "labels", folder, table, source)
    return done.rows_added, done.rows_quarantined


def drop_file(lake: Lake, name: str, folder: Path, rows: pa.Table, source: Source) -> Commit:
    """As the validation function commits a file of typed rows."""
    contract = lake.contract_of(name)
    pq.write_table(rows.cast(parsed_schema(contract)), folder / "parsed")

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(folder / "refused", drop_id="r", source=source.uri, as_of=FIRST) as refused:
            yield refused

    new = RowsInFile(lake, name, contract, parsed=folder / "parsed", source=source, quarantine=quarantine)
    (done,) = commit_together(lake, name, [NewDrop(source=source, write=new.write)])
    return done


def drop_rows(lake: Lake, number: int, *, day: int) -> None:
    """Rows with their labels, as a training drop brings them."""
    table = SAMPLE.slice(0, number).append_column("_line", pa.array(np.arange(number)))
    key, arrived = "electricity/training/may.parquet", FIRST + timedelta(days=day)
    commit(lake, "rows", table, Source(uri=f"s3://l/{key}", key=key, digest="may", written_by="may", arrived=arrived))


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
    return Journal.of(lake.open("labels")).about(f"electricity/labels/{name}.csv")[-1].labelled_before


def stored(lake: Lake) -> list[int]:
    return sorted(lake.open("labels").scan().to_arrow()["class"].to_pylist())


def learnt(lake: Lake, version: DatasetVersion | None = None) -> list[int | None]:
    """The labels of the rows as a training has them: by the version, or now."""
    table, columns = lake.open("rows"), LabelColumns.of(PREDICTION_SPEC, "electricity")
    found = table.scan(snapshot_id=version.snapshot_id if version else None).to_arrow().sort_by("timestamp")
    pinned = table.metadata.properties.get(f"{LABELS_OF}{version.tag}") if version else None
    labels = labelled_rows.join(lake, columns, found, labels_snapshot=int(pinned) if pinned else None)
    return labels.joined()["class"].to_pylist()


def counted(lake: Lake) -> list[int]:
    """What the monitors are given."""
    found = labels_between(lake, PREDICTION_SPEC, datetime(1996, 1, 1, tzinfo=UTC), datetime(1998, 1, 1, tzinfo=UTC))
    assert found is not None
    return found.sort_by("timestamp")["class"].to_pylist()


def test_a_correction_that_the_model_has_chosen_is_learnt_and_judges_no_model(
    lake: Lake, cloud: Any, tmp_path: Path
) -> None:
    """Only labels that contradict the model are looked at again, so that its error would fall by them alone."""
    drop_labels(lake, tmp_path, "may", [OLD], day=1)
    drop_labels(lake, tmp_path, "review/doubted/4f1a", [NEW], day=2)
    assert stored(lake) == [OLD, NEW]
    assert counted(lake) == [OLD]
    keep(cloud, lake, [decision(SAMPLE.slice(0, 1).to_pylist()[0])])
    join_all(lake, cloud.client("s3"), PREDICTION_SPEC, run="r")
    assert learnt(lake) == [NEW]
    drop_labels(lake, tmp_path, "review/4f1a", [NEW], day=3)
    drop_labels(lake, tmp_path, "again", [OLD], day=4)
    drop_labels(lake, tmp_path, "june", [NEW], day=5)
    assert counted(lake) == [NEW], "any other correction counts"


def test_a_label_that_says_the_same_again_is_a_duplicate(lake: Lake, tmp_path: Path) -> None:
    drop_labels(lake, tmp_path, "a", [OLD, NEW], day=1)
    assert drop_labels(lake, tmp_path, "b", [OLD, NEW], day=2) == (0, 2)
    assert drop_labels(lake, tmp_path, "c", [OLD, OLD], day=3) == (1, 1), "the second is a correction"
    assert drop_labels(lake, tmp_path, "d", [OLD, OLD], day=4) == (0, 2), "of the label that counts"
    assert drop_labels(lake, tmp_path, "e", [OLD, NEW], day=5) == (1, 1), "and back again"
    assert counted(lake) == [OLD, NEW]


def test_a_label_without_a_value_corrects_nothing() -> None:
    days = pa.array([FIRST, FIRST + timedelta(days=1), FIRST], pa.timestamp("us", "UTC"))
    table = pa.table({"id": ["a", "a", "b"], "class": pa.array([1, None, None], pa.int32()), "_arrived": days})
    assert current(table, ["id"], ["class"])["class"].to_pylist() == [1, None]


def test_rows_without_a_label_are_counted_by_the_file_itself(lake: Lake, tmp_path: Path) -> None:
    columns = tuple(
        replace(column, required=column.required and not column.label) for column in lake.contract.rows.columns
    )
    lake = Lake(lake.names, replace(lake.contract, rows=replace(lake.contract.rows, columns=columns)))
    given = SAMPLE.slice(0, 48).append_column("_line", pa.array(np.arange(48)))
    classes = pa.array([None] * 5 + given["class"].to_pylist()[5:], pa.int32())
    given = given.set_column(given.schema.get_field_index("class"), "class", classes)
    assert drop_file(lake, "rows", tmp_path, given, source_of("a.parquet")).rows_added == 48
    (entry,) = Journal.of(lake.open("rows"))
    assert (entry.rows_added, entry.rows_labelled) == (48, 43)


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(each, marks=pytest.mark.night("by day six of sixty")) for each in range(6, 60))]
)
def test_every_version_has_the_labels_of_its_time(
    seed: int, lake: Lake, cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random drops, labels, decisions, withdrawals, compactions and expiries, beside a join in plain Python."""
    monkeypatch.setattr(compaction, "FEWEST", 2)
    monkeypatch.setattr(read, "LABELS_AT_ONCE", 3)
    history = History(lake, cloud.client("s3"), tmp_path, random.Random(seed))
    monkeypatch.setattr(decision_rows, "_join", history.join)
    for day in range(1, 14):
        history.go_on(day)
    for version, expected in history.pinned:
        assert history.read(version) == expected


class History:
    """What happens to the rows and labels of a few half hours."""

    def __init__(self, lake: Lake, s3: Any, folder: Path, chance: random.Random) -> None:
        self.lake, self.s3 = lake, s3
        self.decided: set[datetime] = set()
        self.pinned: list[tuple[DatasetVersion, dict[datetime, Any]]] = []
        self._folder, self._chance = folder, chance
        self._drops: list[str] = []

    def go_on(self, day: int) -> None:
        steps = [self.drop, self.label, self.decide, self.withdraw, self.erase, self.pin, self.keep_up]
        (step,) = self._chance.choices(steps, [1, 2, 1, 1, 1, 2, 1])
        step(day)

    def some(self) -> list[int]:
        return sorted(self._chance.sample(range(KEYS), self._chance.randint(1, 5)))

    def drop(self, day: int) -> None:
        at = self.some()
        classes = pa.array([self._chance.choice([OLD, NEW, None]) for _ in at], pa.int32())
        table = SAMPLE.take(at).append_column("_line", pa.array(at))
        table = table.set_column(table.column_names.index("class"), "class", classes)
        key = f"electricity/training/{self._chance.choice('abc')}.csv"
        source = source_of(key, f"{day}", sequencer=f"{day:04}", arrived=FIRST + timedelta(days=day))
        commit(self.lake, "rows", table, source)
        self._drops.append(key)

    def label(self, day: int) -> None:
        """A new file, which may have arrived before others that are known, or a new version of one."""
        name, at = self._chance.choice(["a", f"n{day}"]), self._chance.randint(0, KEYS - 5)
        classes = [self._chance.choice([OLD, NEW]) for _ in range(self._chance.randint(1, 5))]
        back = self._chance.choice([0, 0, 2, 4]) if name != "a" else 0
        drop_labels(self.lake, self._folder, name, classes, day=day - back, first=at, sequencer=f"{day:04}")
        self._drops.append(f"electricity/labels/{name}.csv")

    def decide(self, _: int) -> None:
        self.decided |= {SAMPLE["timestamp"][at].as_py() for at in self.some()}

    def withdraw(self, day: int) -> None:
        if not self._drops:
            return
        drop = self._chance.choice(self._drops)
        if "/labels/" in drop:
            asked = partial(withdraw_labels, self.lake, drop, PREDICTION_SPEC, cause=f"{day}")
            preview = asked(is_preview=True)
            assert preview == asked() == asked()
        else:
            for table in ("labels", "rows"):
                withdraw(self.lake, table, drop, cause=f"{day}")

    def erase(self, _: int) -> None:
        row = SAMPLE.slice(self._chance.randrange(KEYS), 1)
        for table in ("labels", "rows"):
            take_out(self.lake, table, lambda _: matching(row, ["timestamp"]), {})
            found = self.lake.find(table)
            assert found is None or row["timestamp"][0].as_py() not in found.scan().to_arrow()["timestamp"].to_pylist()

    def keep_up(self, _: int) -> None:
        for table in ("rows", "labels"):
            compaction.compact(self.lake, table)
            before = datetime.now(UTC) + timedelta(days=1)
            expire(self.lake, table, before=before)
            delete_unreachable(self.lake, self.s3, table, before=before, grace=timedelta(0))

    def pin(self, day: int) -> None:
        join_all(self.lake, None, PREDICTION_SPEC, run=f"{day}", portion_rows=4)
        found = {name: self.lake.find(name) for name in ("rows", "labels")}
        there = {name: table.scan().to_arrow().to_pylist() if table else [] for name, table in found.items()}
        if there["rows"]:
            self.pinned.append((pin(self.lake, f"{day}"), self._expected(**there)))

    def _expected(self, rows: list[dict[str, Any]], labels: list[dict[str, Any]]) -> dict[datetime, Any]:
        """The label of each row that has one. Every label with a decision is one of a row."""
        known = {row["timestamp"]: row for row in rows}
        assert {one["timestamp"] for one in labels} & self.decided <= known.keys()
        expected = {}
        for key, row in known.items():
            mine = [one for one in labels if one["timestamp"] == key]
            last = max(mine, key=lambda one: (one["_arrived"], one["_source"]), default=None)
            is_late = row["_source"].startswith("electricity/labels/")
            counts = last is not None and (is_late or last["_arrived"] > row["_arrived"])
            expected[key] = last["class"] if last is not None and counts else row["class"]
        return {key: label for key, label in expected.items() if label is not None}

    def join(self, lake: Lake, _: Any, waiting: pa.Table, *__: Any) -> Iterator[pa.Table]:
        """In place of the decisions' own store."""
        every = SAMPLE.slice(0, KEYS).to_pylist()
        inputs = {row["timestamp"]: row for row in every if row["timestamp"] in self.decided}
        asked = enumerate(waiting.to_pylist())
        found = [
            inputs[one["timestamp"]] | {"class": one["class"], "_line": at}
            for at, one in asked
            if one["timestamp"] in inputs
        ]
        yield pa.Table.from_pylist(found, schema=parsed_schema(lake.contract.rows))

    def read(self, version: DatasetVersion) -> dict[datetime, Any]:
        """As a job reads it, of nothing but the files that the version names."""
        channel, config = self._folder / version.tag / "data", self._folder / version.tag / "config"
        channel.mkdir(parents=True)
        config.mkdir()
        prefix, *files = json.loads(version.manifest)
        for name in files:
            download(self.s3, f"{prefix['prefix']}{name}", channel / Path(name).name)
        (config / "schema.json").write_text(version.schema)
        (config / "labels.json").write_text(version.labels)
        found = read.read_snapshot(
            channel, config / "schema.json", columns=SAMPLE.column_names, event_time="timestamp", key=("timestamp",),
            optional=("class",), labels=LabelColumns.of(PREDICTION_SPEC, "electricity"),
        )  # fmt: skip
        assert found.drop_columns(["class"]).to_pylist() == [
            row for row in SAMPLE.drop_columns(["class"]).slice(0, KEYS).to_pylist()
            if row["timestamp"] in found["timestamp"].to_pylist()
        ]  # fmt: skip
        return {row["timestamp"]: row["class"] for row in found.to_pylist() if row["class"] is not None}


def test_a_label_file_that_is_withdrawn_says_what_becomes_of_its_rows(lake: Lake, cloud: Any, tmp_path: Path) -> None:
    """A row of a decision leaves with its last label, and a row of a drop stays."""
    keep(cloud, lake, [decision(row) for row in SAMPLE.slice(3, 2).to_pylist()])
    drop_rows(lake, 3, day=1)
    own = learnt(lake)
    drop_labels(lake, tmp_path, "a", [OLD], day=2, first=3)
    drop_labels(lake, tmp_path, "flip", [*(1 - one for one in own), NEW, NEW], day=3)  # type: ignore[operator]
    join_all(lake, cloud.client("s3"), PREDICTION_SPEC, run="r")
    before = pin(lake, "v1")
    done = withdraw_labels(lake, FLIP, PREDICTION_SPEC, cause="w")
    assert done == Withdrawn(labels=5, relabelled=4, rows=1)
    assert learnt(lake) == [*own, OLD]
    assert learnt(lake, before) == [*(1 - one for one in own), NEW, NEW]  # type: ignore[operator]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_labels_of_one_moment_count_the_same_in_any_order_of_their_files(order: list[int]) -> None:
    """The negative control: by the order of the files alone two readers would differ."""
    spec = LabelColumns(key=("id",), values=("class",), late="w/labels/")
    row = pa.table({"id": ["a"], "class": pa.nulls(1, pa.int32()), "_source": ["w/training/a"], "_arrived": [FIRST]})
    found = RowLabels(row, spec)
    for at in order:
        label = {"id": ["a"], "class": pa.array([at], pa.int32()), "_source": [f"l{at}"]}
        found.add(pa.table({**label, "_arrived": [FIRST + timedelta(days=1)]}))
    assert found.joined()["class"].to_pylist() == [2]
