"""What is known of a key after commits of any kind, and that the endpoint builds of it what training builds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.contract.schema import Column, Contract, Table, parsed_schema
from millrace.datasets import compaction, known_rows
from millrace.datasets.commits import commit
from millrace.datasets.compaction import compact
from millrace.datasets.expiry import expire
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import matching, take_out, withdraw
from millrace.decisions import road
from millrace.decisions.known_pasts import KeyLookup
from millrace.evaluation.naive.rule import LabelledRows
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive
from millrace.features import catalogue
from millrace.features.history import History
from millrace.features.known_past import KeyedColumns
from millrace.names import WorkloadNames
from millrace.state.known_keys import StoredKeys
from millrace.tasks import catalogue as tasks
from millrace.workload.declaration import Feature, Prediction, Workload
from millrace.workload.ends import KnownKeys
from millrace.workload.load import load_workload
from tests.millrace.datasets.conftest import WORKLOAD, source_of
from tests.state_table import create_table

START = datetime(2024, 3, 30, tzinfo=UTC)
HOURS = 48.0
COLUMNS = (
    Column(name="city", kind="string", required=True),
    Column(name="meter", kind="int64", required=True),
    Column(name="at", kind="timestamp_utc", required=True),
    Column(name="load", kind="float64"),
    Column(name="heat", kind="int64"),
    Column(name="wind", kind="float32"),
    Column(name="price", kind="float64", label=True),
)
ROWS = Table(name="rows", columns=COLUMNS, keys=(("city", "meter", "at"),))
PREDICTION = Prediction(
    task="regression",
    label="price",
    key=("city", "meter", "at"),
    event_time="at",
    features=(
        Feature(name="load"),
        Feature(name="day", history=("load", "heat"), hours=24),
        Feature(name="near", history=("wind", "load"), hours=6, every_hours=0.5),
    ),
)
RULE = SeasonalNaive(kind="seasonal_naive", lag_hours=24, margin=0.1)
CITIES = ["Łódź", "東京", "a b", "a", "", '"]', "A"]


@pytest.fixture
def keyed(names: WorkloadNames, cloud: Any) -> Lake:
    """A lake with a key of several columns, and the state table."""
    create_table(cloud.client("dynamodb"), names.platform.state_table)
    labels = replace(ROWS, name="labels", columns=(*COLUMNS[:3], COLUMNS[-1]))
    return Lake(names, Contract(rows=ROWS, labels=labels, digest="d"))


def workload(hours: float = HOURS, **prediction: Any) -> Workload:
    shipped = load_workload(WORKLOAD)
    gates = shipped.gates.model_copy(update={"baseline": RULE})
    known = {"prediction": PREDICTION.model_copy(update=prediction), "known_keys": KnownKeys(hours=hours)}
    return shipped.model_copy(update={**known, "gates": gates})


def histories() -> tuple[History, ...]:
    return catalogue.histories(catalogue.declare(PREDICTION.features, ROWS))


TASK = tasks.declare(PREDICTION, COLUMNS[-1])
COLUMNS_KNOWN = KeyedColumns.of(workload(), histories())
assert COLUMNS_KNOWN is not None


def made(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row | {"_line": n} for n, row in enumerate(rows, 1)], schema=parsed_schema(ROWS))


def row(city: str, meter: int, hours: float, load: float | None = 1.0, **cells: Any) -> dict[str, Any]:
    known = {"heat": None if load is None else int(10 * load), "wind": load, "price": 1.0}
    return {"city": city, "meter": meter, "at": START + timedelta(hours=hours), "load": load, **known, **cells}


def drop(lake: Lake, rows: list[dict[str, Any]], name: str, sequencer: str = "") -> None:
    """The rows as a drop; with a sequencer a later version of its object takes their place."""
    commit(lake, "rows", made(rows), source_of(name, f"{name}-{sequencer}", sequencer=sequencer))


def committed(lake: Lake) -> pa.Table:
    return lake.open("rows").scan().to_arrow()


def stored(lake: Lake, cloud: Any) -> StoredKeys:
    return StoredKeys(cloud.client("dynamodb"), lake.names)


def known(lake: Lake, cloud: Any) -> dict[str, Any]:
    """What is stored of every key that has rows."""
    there = stored(lake, cloud)
    found = there.find(sorted(there.keys()), declared=COLUMNS_KNOWN.digest)
    return {key: cells for key, cells in found.items() if cells}


def defined(lake: Lake, hours: float = HOURS) -> dict[str, Any]:
    """What must be known: of each key the rows within the hours before its newest one, by the words of the docs."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for one in committed(lake).sort_by("at").to_pylist():
        by_key.setdefault(COLUMNS_KNOWN.key_of(one), []).append(one)
    within = {
        key: [one for one in rows if one["at"] > rows[-1]["at"] - timedelta(hours=hours)]
        for key, rows in by_key.items()
    }
    return {
        key: {"at": [one["at"].isoformat() for one in rows]}
        | {name: [one[name] for one in rows] for name in COLUMNS_KNOWN.columns}
        for key, rows in within.items()
    }


def refresh(lake: Lake, cloud: Any, **prediction: Any) -> int:
    return KnownRows(lake, workload(**prediction), cloud.client("dynamodb")).refresh()


def erase(lake: Lake, **row: Any) -> None:
    take_out(lake, "rows", lambda _: matching(pa.Table.from_pylist([row]), ["city", "meter", "at"]), {})


def test_late_rows_corrections_and_withdrawals_land_right_whatever_commits_are_missed(
    keyed: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random commits; a refresh may be missed. After each that is not, the table says what its definition says."""
    monkeypatch.setattr(compaction, "FEWEST", 2)
    drawn, versions = random.Random(7), dict[str, int]()
    for number in range(40):
        kind = drawn.choice(["drop", "drop", "drop", "again", "withdraw drop", "withdraw key", "compact"])
        names = sorted(versions)
        if kind == "drop" or not names:
            name = f"d{number}"
        elif kind == "again":
            name = drawn.choice(names)
        if kind in ("drop", "again") or not names:
            versions[name] = versions.get(name, 0) + 1
            late = drawn.choice([0, 0, -30, -200])
            rows = {
                (city, hour): row(city, 1, number + late + hour, drawn.choice([None, drawn.uniform(-9, 9)]))
                for city in drawn.sample(CITIES, 3)
                for hour in drawn.sample(range(60), 9)
            }
            drop(keyed, list(rows.values()), name, f"{versions[name]:020d}")
        elif kind == "withdraw drop":
            withdraw(keyed, "rows", drawn.choice(names), cause=f"w{number}")
        elif kind == "withdraw key" and (there := committed(keyed).sort_by([("at", "descending")]).to_pylist()):
            erase(keyed, **there[drawn.randrange(min(3, len(there)))])
        else:
            refresh(keyed, cloud)
            compact(keyed, "rows")
            assert refresh(keyed, cloud) == 0, "a compaction changes no key"
        if drawn.random() < 0.7:
            refresh(keyed, cloud)
            assert known(keyed, cloud) == defined(keyed), (number, kind)
            assert refresh(keyed, cloud) == 0, "the second time nothing has changed"


def test_a_label_is_known_of_its_key_as_long_as_it_counts(keyed: Lake, cloud: Any) -> None:
    """Of a rule that repeats labels. A late label and its withdrawal write its own key alone."""
    rule: dict[str, Any] = {"fallback": ("rule",)}
    drop(keyed, [row("a", 1, 0), row("a", 1, 1), row("b", 1, 0)], "first")
    assert refresh(keyed, cloud, **rule) == 2
    label = {name: row("a", 1, 0)[name] for name in ("city", "meter", "at")} | {"price": 5.0, "_line": 1}
    table, key = pa.Table.from_pylist([label], schema=parsed_schema(keyed.contract.labels)), "electricity/labels/a"
    commit(keyed, "labels", table, source_of(key, arrived=datetime.now(UTC)))
    assert refresh(keyed, cloud, **rule) == 2, "the first labels: every key"
    assert prices(keyed, cloud) == [[1.0], [5.0, 1.0]]
    withdraw(keyed, "labels", key, cause="w")
    assert (refresh(keyed, cloud, **rule), refresh(keyed, cloud, **rule)) == (1, 0)
    assert prices(keyed, cloud) == [[1.0], [1.0, 1.0]]


def test_the_label_of_a_decision_is_known_before_its_row_is_in_the_table(keyed: Lake, cloud: Any) -> None:
    """Where no other cell of the past is read. Of a row with a label of its own the one that counts is known."""
    rule: dict[str, Any] = {"fallback": ("rule",), "features": (Feature(name="load"),)}
    drop(keyed, [row("a", 1, 0), row("a", 1, 1)], "first")
    come = [{**row("a", 1, hour), "price": price, "_line": 1} for hour, price in ((1, 4.0), (2, 5.0), (2, 6.0))]
    for number, label in enumerate(come):
        table = pa.Table.from_pylist([label], schema=parsed_schema(keyed.contract.labels))
        commit(keyed, "labels", table, source_of(f"electricity/labels/{number}", arrived=datetime.now(UTC)))
    refresh(keyed, cloud, **rule)
    asked = [{name: plain(cell) for name, cell in row("a", 1, 24 + hour).items()} for hour in range(4)]
    found = KeyLookup(stored(keyed, cloud), workload(**rule), ROWS.without("price"), (), TASK).rule(asked)
    assert found is not None
    assert [(answer := found(one)) and answer["value"] for one in asked] == [1.0, 4.0, 6.0, None]


def prices(lake: Lake, cloud: Any) -> list[list[float]]:
    columns = KeyedColumns.of(workload(fallback=("rule",)), histories())
    assert columns is not None
    there = stored(lake, cloud)
    found = there.find(sorted(there.keys()), declared=columns.digest)
    return sorted((list(cells["price"]) for cells in found.values() if cells), key=len)


def test_every_key_is_read_after_the_last_snapshot_that_was_seen_has_expired(keyed: Lake, cloud: Any) -> None:
    drop(keyed, [row("a", 1, 0), row("b", 1, 0)], "first")
    refresh(keyed, cloud)
    erase(keyed, city="a", meter=1, at=START)
    assert expire(keyed, "rows", before=datetime.now(UTC) + timedelta(seconds=1)) >= 1
    assert refresh(keyed, cloud) == 2, "the key that has left and the one that has not"
    assert known(keyed, cloud) == defined(keyed)
    assert len(known(keyed, cloud)) == 1


class HeldUp:
    """A client that is held up before its first write, while something else happens; then it may fail."""

    def __init__(self, client: Any, meanwhile: Callable[[], object], *, fails_after: int | None = None) -> None:
        self.get_item, self.exceptions, self.get_paginator = client.get_item, client.exceptions, client.get_paginator
        self._client, self._meanwhile, self._left = client, [meanwhile], fails_after

    def put_item(self, **given: Any) -> Any:
        while self._meanwhile:
            self._meanwhile.pop()()
        if self._left is not None:
            if not self._left:
                raise ConnectionError
            self._left -= 1
        return self._client.put_item(**given)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_writer_that_is_held_up_brings_nothing_back(is_first: bool, keyed: Lake, cloud: Any) -> None:
    """It has read a row of a new key, which is withdrawn before it writes; a faster writer never sees that key."""
    if not is_first:
        drop(keyed, [row("b", 1, 0)], "before")
        refresh(keyed, cloud)
    drop(keyed, [row("a", 1, 0), row("b", 1, 1)], "first")

    def meanwhile() -> None:
        erase(keyed, city="a", meter=1, at=START)
        drop(keyed, [row("b", 1, 2)], "second")
        refresh(keyed, cloud)

    KnownRows(keyed, workload(), HeldUp(cloud.client("dynamodb"), meanwhile)).refresh()
    assert known(keyed, cloud) == defined(keyed)
    assert len(known(keyed, cloud)) == 1


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_writer_that_dies_leaves_its_keys_to_the_next_one(written: int, keyed: Lake, cloud: Any) -> None:
    """Its mark does not move; what it has written of a drop that is withdrawn then does not stay."""
    drop(keyed, [row("a", 1, 0)], "first")
    refresh(keyed, cloud)
    drop(keyed, [row("a", 1, 1), row("b", 1, 1), row("c", 1, 1)], "second")
    dying = HeldUp(cloud.client("dynamodb"), lambda: None, fails_after=written)
    with pytest.raises(ConnectionError):
        KnownRows(keyed, workload(), dying).refresh()
    withdraw(keyed, "rows", "second", cause="w")
    drop(keyed, [row("c", 1, 2)], "third")
    refresh(keyed, cloud)
    assert known(keyed, cloud) == defined(keyed)
    assert len(known(keyed, cloud)) == 2


def test_a_change_of_many_rows_and_another_declaration_read_all_keys(
    keyed: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(keyed, [row(city, 1, hour) for city in CITIES for hour in range(0, 90, 3)], "first")
    monkeypatch.setattr(known_rows, "AT_ONCE", 50)
    assert refresh(keyed, cloud) == len(CITIES)
    drop(keyed, [row("a", 1, hour) for hour in range(91, 150)], "second")
    assert refresh(keyed, cloud) == len(CITIES)
    assert known(keyed, cloud) == defined(keyed)
    longer = KnownRows(keyed, workload(hours=60), cloud.client("dynamodb"))
    assert longer.refresh() == len(CITIES)
    assert known(keyed, cloud) == {}, "what another declaration has kept does not count"


def test_of_a_key_with_very_many_rows_the_newest_are_known(
    keyed: Lake, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_rows, "MOST_ROWS", 5)
    drop(keyed, [row("a", 1, hour / 10) for hour in range(20)], "first")
    refresh(keyed, cloud)
    [cells] = known(keyed, cloud).values()
    assert cells["at"] == [(START + timedelta(hours=hour / 10)).isoformat() for hour in range(15, 20)]


def lookup_of(lake: Lake, cloud: Any, **prediction: Any) -> KeyLookup:
    return KeyLookup(stored(lake, cloud), workload(**prediction), ROWS.without("price"), histories(), TASK)


ASKED = 10_000


def test_the_endpoint_builds_the_bits_that_training_builds(keyed: Lake, cloud: Any) -> None:
    """10,000 rows of random keys and times, beside gaps, nulls, several rows in a step, and whole numbers that float32
    rounds. Training looks in the dataset; the endpoint in what is known of the keys."""
    drawn = random.Random(11)
    keys = [(city, meter) for city in CITIES for meter in (-1, 2**53 + 1, 7)]
    for number in range(6):  # later drops lie later on the whole, and overlap
        rows = {}
        for city, meter in keys:
            for _ in range(60):
                at = 20 * number + drawn.choice([drawn.randrange(40), drawn.randrange(2400) / 60, drawn.random() * 40])
                cells = {
                    "heat": drawn.choice([None, 2**24 + 1, 2**53 + 1, drawn.randrange(-9, 9)]),
                    "wind": drawn.choice([None, float(np.float32(drawn.uniform(-9, 9)))]),
                }
                load = drawn.choice([None, drawn.uniform(-9, 9), 1e-40, -0.0, drawn.uniform(-1e30, 1e30)])
                one = row(city, meter, at, load, **cells)
                rows[city, meter, one["at"]] = one
        drop(keyed, list(rows.values()), f"d{number}")
        refresh(keyed, cloud)
    dataset = committed(keyed).select(ROWS.names)
    newest_of: pa.Table = dataset.group_by(["city", "meter"]).aggregate([("at", "max")])
    newest = {(one["city"], one["meter"]): one["at_max"] for one in newest_of.to_pylist()}
    lookup = lookup_of(keyed, cloud)
    outcomes = {"same": 0, "refused by both": 0, "refused here alone": 0}
    for _ in range(ASKED // 20):
        # One row of a key at a time: training would see several as each other's past.
        rows = [
            row(city, meter, drawn.choice([drawn.randrange(200), drawn.random() * 200]), drawn.choice([None, 2.5]))
            for city, meter in drawn.sample([*keys, ("unknown", 7)], 20)
        ]
        asked = [{name: plain(cell) for name, cell in one.items() if name != "price"} for one in rows]
        there = pa.Table.from_pylist(rows, schema=dataset.schema)
        admitted, rejected = road.check_rows(lookup.fill(asked), ROWS.without("price"), histories())
        assert {one.reason for one in rejected} <= {"history"}
        short = np.any([history.is_too_short(there, dataset) for history in histories()], axis=0)
        for one in rejected:
            outcomes["refused by both" if short[one.row] else "refused here alone"] += 1
            # Only rows that are older than what is known: training looks farther back than the table.
            assert short[one.row] or rows[one.row]["at"] < newest[rows[one.row]["city"], rows[one.row]["meter"]]
        sent = json.loads(json.dumps([dict(one.cells) for one in admitted]))
        for history in histories():
            trained = history.encode(history.add_steps(there, dataset))
            for one, cells in zip(admitted, sent, strict=True):
                assert not short[one.number]
                bits = trained[one.number].view(np.uint32)
                np.testing.assert_array_equal(history.encode_one(cells).view(np.uint32), bits)
                assert len(cells[history.name]) <= history.steps
        outcomes["same"] += len(admitted)
    assert sum(outcomes.values()) == ASKED
    assert min(outcomes.values()) > 500, outcomes


@pytest.mark.parametrize("ahead", [0.0, 6.0])
def test_the_rule_repeats_at_the_endpoint_the_label_that_the_evaluation_repeats(
    ahead: float, keyed: Lake, cloud: Any
) -> None:
    """`ahead`: the label is that of a later row, and known so much sooner."""
    drawn, declared = random.Random(3), {"fallback": ("rule",), "horizon_hours": ahead}
    price = {(city, hour): drawn.choice([None, drawn.uniform(-9, 9)]) for city in CITIES for hour in range(60)}
    past = [row(city, 1, hour, price=value) for (city, hour), value in price.items() if drawn.random() < 0.8]
    drop(keyed, past, "first")
    refresh(keyed, cloud, **declared)
    asked = [row(city, 1, hour) for city in CITIES for hour in range(55, 75)]
    rows = [{name: plain(cell) for name, cell in one.items() if name != "price"} for one in asked]
    rule = lookup_of(keyed, cloud, **declared).rule(rows)
    assert rule is not None
    # The evaluation knows the label of a row by the row itself; a row without a label is none of its rows.
    there = {(one["city"], one["at"]): one["price"] for one in past}
    labelled = [one | {"price": there.get((one["city"], one["at"] + timedelta(hours=ahead)))} for one in past]
    table = made([*(one for one in labelled if one["price"] is not None), *(one | {"price": 0.0} for one in asked)])
    first = table.num_rows - len(asked)
    every = LabelledRows.of(
        table, table["price"].to_numpy(), table["at"].to_numpy(), key=PREDICTION.key, event_time="at",
        test=slice(first, table.num_rows),
    )  # fmt: skip
    expected = RULE.answer(every, TASK)
    outputs = iter(expected.output_TW[:, 0].tolist())
    said = [found["value"] if (found := rule(one)) else None for one in rows]
    assert sum(value is not None for value in said) >= 40
    for value, is_answered, one in zip(said, expected.rows_T, asked, strict=True):
        if is_answered:
            assert value == pytest.approx(next(outputs), rel=1e-6), one


def plain(cell: Any) -> Any:
    return cell.isoformat() if isinstance(cell, datetime) else cell
