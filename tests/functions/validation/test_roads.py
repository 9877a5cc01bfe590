"""Panels with gaps and repeats: training, a drop to score and a request come to the same past, plan and verdict."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.console.actions.past import Pasts, json_rows
from millrace.contract.ahead import Ahead
from millrace.contract.row import check_row_with_past, repeated
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.validate import validate
from millrace.datasets.labelled_rows import columns_of
from millrace.datasets.quarantine import QuarantineFile
from millrace.features.history import History
from millrace.features.known_ahead import KnownAhead, requiring_known
from millrace.functions.validation.shards import Shards, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

START = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone
ENTITY = ("shop", "good")
KEY = (*ENTITY, "at")
PLAN = Column(name="promo_ahead", kind="int64", ahead=Ahead(column="promo", hours=2.0))
TABLE = Table(
    name="rows",
    columns=(
        Column(name="shop", kind="string", required=True),
        Column(name="good", kind="int64", required=True),
        Column(name="at", kind="timestamp", required=True),
        Column(name="load", kind="float64"),
        Column(name="promo", kind="int64"),
        PLAN,
    ),
    keys=(KEY,),
)
AHEAD = KnownAhead(columns=(PLAN,), entity=ENTITY, event_time="at")
Verdict = tuple[str, tuple[float, ...], int | None]
"""`history` or `required` of a row without an answer, else ""; the steps of its past, nan as -1; what is planned."""
REFUSED: dict[str, Verdict] = {reason: (reason, (), None) for reason in ("history", "required")}


class Panel:
    """Rows of some entities at hours with gaps, some of them twice, in any order; some cells are missing."""

    def __init__(self, seed: int) -> None:
        draw = Random(seed)
        self.draw = draw
        steps = draw.choice([2, 3, 5])
        self.past = History(
            name="past",
            history=("load",),
            entity=ENTITY,
            event_time="at",
            steps=steps,
            every_hours=draw.choice([1.0, 2.0]),
        )
        gap = draw.choice([0.0, 0.2, 0.6])
        rows: list[dict[str, Any]] = []
        for shop, good in draw.sample([(shop, good) for shop in "abc" for good in (1, 2)], draw.randint(1, 5)):
            stop = draw.randint(3, 14)  # a long gap follows
            for hour in (*range(stop), *range(stop + draw.randint(4, 20), 36)):
                times = 0 if draw.random() < gap else draw.choice([1, 1, 1, 1, 2, 3])
                rows += [self._row(shop, good, START + timedelta(hours=hour)) for _ in range(times)]
        draw.shuffle(rows)
        self.rows = rows or [self._row("a", 1, START)]

    def _row(self, shop: str, good: int, at: datetime) -> dict[str, Any]:
        draw = self.draw
        load = None if draw.random() < 0.1 else round(draw.random(), 3)
        plan = draw.randint(5, 9) if draw.random() < 0.4 else None
        return {
            "shop": shop,
            "good": good,
            "at": at,
            "load": load,
            "promo": draw.choice([0, 1, 1, None]),
            PLAN.name: plan,
        }

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        lined = [row | {LINE: line} for line, row in enumerate(rows, 1)]
        return pa.Table.from_pylist(lined, schema=parsed_schema(TABLE))


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def said(steps: npt.NDArray[np.float32], plan: int | None) -> Verdict:
    return "", tuple(np.nan_to_num(steps.reshape(-1), nan=-1.0).tolist()), plan


def defined(panel: Panel) -> dict[tuple[Any, ...], Verdict]:
    """What each row should come to, by the definition alone and without one of the roads."""
    past, first = panel.past, {}
    for row in panel.rows:
        first.setdefault(key_of(row), row)
    every, found = timedelta(hours=past.every_hours), {}
    for (*entity, at), row in first.items():
        ages = {at - time: one for (*other, time), one in first.items() if other == entity}
        later = first.get((*entity, at + timedelta(hours=2)), {})
        plan = later.get("promo") if row[PLAN.name] is None else row[PLAN.name]
        oldest = (past.steps - 1) * every
        if plan is None:
            found[(*entity, at)] = REFUSED["required"]
            continue
        if not any(oldest <= age < 2 * past.steps * every for age in ages):
            found[(*entity, at)] = REFUSED["history"]
            continue
        steps = []
        for step in range(past.steps - 1, -1, -1):
            fits = [age for age in ages if step * every <= age < (step + 1) * every]
            load = ages[min(fits)]["load"] if fits else None
            steps.append(np.nan if load is None else load)
        found[(*entity, at)] = said(np.array(steps, np.float32), plan)
    return found


def trained(panel: Panel) -> dict[tuple[Any, ...], Verdict]:
    rows = validate(panel.table(panel.rows), TABLE).accepted.sort_by("at")
    rows = AHEAD.fill(rows, rows)
    short_N = panel.past.is_too_short(rows)
    steps_NTF = panel.past.encode(panel.past.add_steps(rows))
    return {
        key_of(row): REFUSED["required"]
        if row[PLAN.name] is None
        else REFUSED["history"]
        if short
        else said(steps, row[PLAN.name])
        for row, short, steps in zip(rows.to_pylist(), short_N, steps_NTF, strict=True)
    }


def scored(panel: Panel, folder: Path, at: int) -> dict[tuple[Any, ...], Verdict]:
    """The rows from hour `at` on as a drop; those before are in the table, whose texts are large."""
    cut = START + timedelta(hours=at)
    before, drop = ([row for row in panel.rows if (row["at"] < cut) is is_old] for is_old in (True, False))
    known = validate(panel.table(before), TABLE).accepted.select(columns_of([panel.past]))
    large = known.set_column(0, "shop", known["shop"].cast(pa.large_string()))

    def read_before(own: pa.Table) -> pa.Table:
        oldest = pc.min(own["at"]).as_py() or START
        return large.filter(pc.greater_equal(large["at"], oldest - timedelta(hours=panel.past.reach_hours)))

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(
            folder / "refused", drop_id="r", source="s", as_of=datetime(2024, 2, 1, tzinfo=UTC)
        ) as file:
            yield file

    pq.write_table(panel.table(drop), folder / "parsed", row_group_size=panel.draw.randint(1, 40))
    bodies: list[bytes] = []
    done = stage(
        folder / "parsed",
        TABLE,
        folder / "accepted",
        Shards(lambda number, body: bodies.append(body), ["past", "at", "load", PLAN.name], limit=10**6),
        quarantine,
        histories=(panel.past,),
        ahead=AHEAD,
        read_before=read_before,
    )
    found: dict[tuple[Any, ...], Verdict] = {}
    refused = pq.read_table(folder / "refused").to_pylist() if done.refused else []
    for row in refused:
        if row["reason"] != "duplicate_key":
            found[key_of(drop[row["line"] - 1])] = REFUSED[row["reason"]]
    repeats = len(drop) - len({key_of(row) for row in drop})
    assert done.refused.get("duplicate_key", 0) == repeats, "each repeat is counted"
    for body in bodies:
        rows = pa.ipc.open_stream(body).read_all()
        for row, steps in zip(rows.to_pylist(), panel.past.encode(rows), strict=True):
            found[key_of(drop[row["row_number"] - 1])] = said(steps, row[PLAN.name])
    return found


def requested(panel: Panel, *, is_raw: bool) -> dict[tuple[Any, ...], Verdict]:
    """Each row as a request. The past is that of the console, or with `is_raw` all rows before, repeats among them."""
    past, good = panel.past, validate(panel.table(panel.rows), TABLE).accepted
    filled, pasts, table = AHEAD.fill(good, good), Pasts(good, [past]), requiring_known(TABLE)
    found: dict[tuple[Any, ...], Verdict] = {}
    for row, cells in zip(filled.to_pylist(), json_rows(filled.drop_columns([LINE])), strict=True):
        request = cells | pasts.of(row)
        if is_raw:
            near = [
                one
                for one in panel.rows
                if key_of(one)[:2] == key_of(row)[:2]
                and timedelta(0) < row["at"] - one["at"] < timedelta(hours=past.reach_hours)
            ]
            entries = json_rows(pa.Table.from_pylist(near, schema=parsed_schema(TABLE)).select(["at", "load"]))
            request |= {"past": entries}
            repeats = len(near) - len({one["at"] for one in near})
            assert len(list(repeated(request, [past]))) == repeats, "each repeat is told"
        broken = check_row_with_past(request, table, [past])
        found[key_of(row)] = REFUSED[broken[0].reason] if broken else said(past.encode_one(request), cells[PLAN.name])
    return found


def check(seed: int, folder: Path) -> int:
    """The number of rows with an answer."""
    panel = Panel(seed)
    wanted = defined(panel)
    assert trained(panel) == wanted
    assert requested(panel, is_raw=False) == wanted
    if panel.past.steps > 2:  # a short past may hold 16 rows for each step, and so may have more with repeats
        assert requested(panel, is_raw=True) == wanted
    at = panel.draw.randint(0, 25)
    cut = START + timedelta(hours=at)
    assert scored(panel, folder, at) == {key: one for key, one in wanted.items() if key[-1] >= cut}
    return sum(not reason for reason, *_ in wanted.values())


def test_all_roads_come_to_the_same(tmp_path: Path) -> None:
    answered = []
    for seed in range(12):
        (folder := tmp_path / str(seed)).mkdir()
        answered.append(check(seed, folder))
    assert sum(count > 0 for count in answered) >= 6


@pytest.mark.night("rarer meetings of gaps, repeats and cuts; by day a dozen panels go the same roads")
def test_all_roads_come_to_the_same_for_a_thousand_panels(tmp_path: Path) -> None:
    for seed in range(100, 1100):
        (folder := tmp_path / str(seed)).mkdir()
        check(seed, folder)
