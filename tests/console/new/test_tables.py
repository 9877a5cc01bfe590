"""What `new` proposes for whole tables of other things than the market: recorded in ../recorded/tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from millrace.console.new.remarks import remarks
from millrace.errors import ConfigurationError
from tests.console.new import test_variants
from tests.console.new.conftest import proposed, written
from tests.console.new.test_variants import file_of
from tests.entities import made_up
from tests.recorded import compare, compare_folder

FRAGILE = re.compile(test_variants.FRAGILE.pattern + r"|[\d.]+(?= on an? )|[\d.]+(?= on random)")
RECORDED = Path(__file__).parents[1] / "recorded/tables"
FIRST = datetime.fromisoformat("2020-01-01")
PATIENTS, VISITS = 120, 8
ROWS = PATIENTS * VISITS
Make = Callable[[], pa.Table]


def visits(name: Callable[[int, int], Any] = lambda _, patient: patient) -> pa.Table:
    """Readings that identify a patient, and an outcome of the patient: nothing can be known of a new one."""
    random = np.random.default_rng(0)
    patient = random.permutation(np.repeat(np.arange(PATIENTS), VISITS))
    readings = random.normal(0, 1, (PATIENTS, 4))[patient] + random.normal(0, 0.1, (ROWS, 4))
    rows = {"patient": [name(at, 1000 + 7 * int(one)) for at, one in enumerate(patient)]}
    rows |= {f"r{place}": readings[:, place].round(3) for place in range(4)}
    return pa.table(rows | {"outcome": random.integers(0, 2, PATIENTS)[patient]})


def machines() -> pa.Table:
    rows, label = made_up(1, planted=True, shape="ten machines")
    return rows.append_column("outcome", pa.array(label))


def walk() -> pa.Table:
    steps = np.cumsum(np.random.default_rng(0).normal(0, 1, (1200, 3)), axis=0)
    return pa.table({"a": steps[:, 0], "b": steps[:, 1], "outcome": steps[:, 2]})


def by_class() -> pa.Table:
    """The places of plants that grow in clumps, in a file that was sorted by their kind and then from east to west."""
    random = np.random.default_rng(0)
    kind, place = random.integers(0, 3, (1, PATIENTS)).repeat(VISITS), random.uniform(0, 1, PATIENTS).repeat(VISITS)
    rows = {"outcome": kind, "x": place + random.normal(0, 1e-3, ROWS), "y": random.uniform(0, 1, ROWS)}
    return pa.table(rows).sort_by([("outcome", "ascending"), ("x", "descending")])


def listed(noise: float) -> Make:
    """Prices beside those of a list."""
    random = np.random.default_rng(0)
    prices, other = random.normal(100, 20, ROWS), random.normal(0, 1, ROWS)
    return lambda: pa.table({"listed": prices, "x": other, "price": prices + 20 * noise * random.normal(0, 1, ROWS)})


def orders() -> pa.Table:
    random = np.random.default_rng(0)
    placed = np.datetime64("2024-01-01T00:00:00") + np.arange(ROWS) * np.timedelta64(1, "h")
    times = {
        "timestamp": placed,
        "delivered at": placed + random.integers(20, 90, ROWS).astype("timedelta64[m]"),
        "last seen": placed + random.integers(-90, 90, ROWS).astype("timedelta64[m]"),
    }
    return pa.table(times | {"x": random.normal(0, 1, ROWS), "late": random.choice(["ja", "nein"], ROWS)})


def sales() -> pa.Table:
    """A promotion sells more on its own day."""
    return table_of(
        400,
        shop=lambda at: "ab"[at % 2],
        day=lambda at: FIRST + timedelta(days=at // 2),
        promo=lambda at: int(at // 2 % 5 == at % 2),
        price=lambda at: 2 + (at // 2 * 7 + at % 2) % 13 / 10,
        sales=lambda at: 10 + 5 * (at % 2) + 8 * (at // 2 % 5 == at % 2) + at // 2 % 7 / 3,
    )


def table_of(rows: int, **cells: Callable[[int], Any]) -> pa.Table:
    return pa.table({name: [cell(at) for at in range(rows)] for name, cell in cells.items()})


def hours(label: Callable[[int], Any], step: Callable[[int], timedelta] = lambda at: timedelta(hours=at)) -> Make:
    noise = np.random.default_rng(0).random(1440).round(4)
    return lambda: table_of(1440, time=lambda at: FIRST + step(at), noise=lambda at: float(noise[at]), label=label)


def wave(at: int) -> float:
    return round(float(np.sin(at / 24 * 2 * np.pi) + at / 1e4), 6)


def heat(at: int) -> float:
    return at * 7 % 90 + 0.5


def warnings(at: int) -> str:
    own = heat(at + at % 4)
    return ",".join(name for name, is_there in (("low", own < 60), ("top", own > 40)) if is_there)


TAIL = np.random.default_rng(4).lognormal(6, 1.6, 1440).round(2)
NORMAL = np.random.default_rng(3).normal(100, 9, 1440).round(3)
AHEAD = {"label": "sales", "horizon_steps": 1}
OUTCOME = {"label": "outcome"}
HEATS = {"heat": heat, "x": warnings, "cold": lambda at: int(heat(at + at % 5) < 30)}
HEATS |= {"hot": lambda at: int(heat(at + at % 5) > 60)}
BORN = {"id": int, "birthday": lambda at: f"{1950 + at % 50}-03-0{1 + at % 9}"}
BORN |= {"n": lambda at: at % 7, "y": lambda at: "ab"[at % 2]}
BIG = {"weight": lambda at: at * 7919 % 211 / 3, "big": lambda at: "yes" if at % 3 else "no"}
PEOPLE = {"pop": lambda at: 60_011 + (at * 7919) % 1009 * 1_000_003, "big": lambda at: "yes" if at % 3 else "no"}
TABLES: Mapping[str, tuple[Make, dict[str, Any]]] = {
    # What rows are about.
    "patients": (visits, OUTCOME),
    "patients, and no group": (visits, OUTCOME | {"has_no_group": True}),
    "patients whose name begins a code": (lambda: visits(lambda at, one: f"P{one}-{at}"), OUTCOME),
    "patients of whom one has no name": (lambda: visits(lambda at, one: f"P{one}" if at else None), OUTCOME),
    "few machines": (machines, OUTCOME),
    "neighbours that are alike": (walk, OUTCOME),
    "neighbours that are alike, without a time": (walk, OUTCOME | {"has_no_event_time": True}),
    "a file that was sorted by its label": (by_class, OUTCOME),
    # What gives the answer away.
    "a list price": (listed(0.1), {"label": "price", "has_no_event_time": True}),
    "a list price that errs": (listed(0.25), {"label": "price", "has_no_event_time": True}),
    "a time that is never before": (orders, {"label": "late"}),
    # What is known ahead.
    "sales": (sales, AHEAD),
    "sales with known prices": (sales, AHEAD | {"known": ("price",)}),
    "sales of two days": (sales, AHEAD | {"kind": "forecast", "horizon_steps": 2}),
    **{f"sales with {name} known": (sales, AHEAD | {"known": (name,)}) for name in ("sales", "day", "shop", "nothing")},
    "sales of the day itself": (sales, {"label": "sales", "known": ("promo",)}),
    # The naive rule.
    "yesterday": (hours(lambda at: int(at % 24 > 13)), {"label": "label"}),
    "waves": (hours(wave), {"label": "label"}),
    "noise": (hours(lambda at: float(NORMAL[at])), {"label": "label", "unit": "kW"}),
    "a tail": (hours(lambda at: float(TAIL[at])), {"label": "label", "unit": "EUR"}),
    "waves a day ahead": (hours(wave), {"label": "label", "horizon_hours": 24.0}),
    "waves more than a day ahead": (hours(wave), {"label": "label", "horizon_hours": 30.0}),
    "waves between two hours": (hours(wave), {"label": "label", "horizon_hours": 2.5}),
    "no two rows a day apart": (hours(wave, lambda at: timedelta(minutes=at**1.6)),
                                {"label": "label", "horizon_hours": 24}),
    # Keys.
    "a word as a key": (lambda: table_of(400, product=lambda at: f"P-{7 * at + 1013}", **BIG), {"label": "big"}),
    "a code as a key": (lambda: table_of(400, product_code=lambda at: f"P-{7 * at + 1013}", **BIG), {"label": "big"}),
    "populations": (lambda: table_of(400, **PEOPLE), {"label": "big"}),
    "populations of accounts": (lambda: table_of(400, account=lambda at: 7 + at, **PEOPLE), {"label": "big"}),
    "birthdays": (lambda: table_of(300, **BORN), {"label": "y"}),
    "birthdays and a time": (lambda: table_of(300, **BORN, asked=lambda at: f"2024-0{1 + at % 9}-05"), {"label": "y"}),
    # Several labels.
    "tags as labels": (lambda: table_of(300, **HEATS), {"label": "x"}),
    "two labels": (lambda: table_of(300, **HEATS), {"label": "cold", "labels": ("cold", "hot")}),
    "two labels of which one is a number": (lambda: table_of(300, **HEATS), {"label": "cold",
                                                                           "labels": ("cold", "heat")}),
}  # fmt: skip
"""By name, the table and the options."""


@pytest.mark.parametrize("name", TABLES)
def test_what_is_proposed_for_a_table_is_recorded(name: str, tmp_path: Path) -> None:
    make, words = TABLES[name]
    path = written(tmp_path / "rows.parquet", make())
    compare_folder(RECORDED, {*map(file_of, TABLES)})
    try:
        found = proposed(path, **words)
    except ConfigurationError as error:
        compare(RECORDED / file_of(name), str(error))
        return
    told = [f"{what}: {getattr(one.value, 'name', one.value)}: {one.reason}" for what, one in found.guesses.items()]
    told += [f"no feature: {one.name}: {one.reason}" for one in found.features.others]
    told += [f"features: {', '.join(found.prediction.features)}", *map(str, found.prediction.derived)]
    told += [f"{found.accepted.num_rows} rows, {len(found.refused)} refused", found.naive.said, *remarks(found)]
    document = yaml.safe_load(found.workload_yaml)
    told += [f"{key}: {document['training'].get(key)}" for key in ("family", "split")]
    told += [str(document["prediction"]["label"]), str(document["gates"]["baseline"])]
    told += [f"{one.name}: {one.kind}, required {one.required}, {one.ahead}" for one in found.contract.columns]
    compare(RECORDED / file_of(name), "\n".join(FRAGILE.sub("…", line) for line in told))
