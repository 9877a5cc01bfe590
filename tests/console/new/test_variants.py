"""What `new` proposes for the half hours of the market, and instead for each variant: recorded in ../recorded/new."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import unified_diff
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.console.new.proposal import Proposal
from millrace.console.new.remarks import remarks
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, Writer, as_file, proposed
from tests.console.new.test_columns import local
from tests.recorded import compare, compare_folder

RECORDED = Path(__file__).parents[1] / "recorded/new"
FIRST = datetime.fromisoformat("2024-01-01")
FRAGILE = re.compile(r"[\d.]+e-\d+|(?<=loss )[\d.]+(?= on)|[\d.]+(?= on rows away)")
"""Figures whose last digit may differ from processor to processor: those of trees, and what is left of a difference."""
Change = Callable[[Sequence[Row]], list[Row]]


def each(**cells: Callable[[int, Row], Any]) -> Change:
    """With other cells, made of the row's number and the row; `_` in the name of a column is a space."""
    return lambda rows: [
        row | {name.replace("_", " "): make(at, row) for name, make in cells.items()} for at, row in enumerate(rows)
    ]


def only(is_kept: Callable[[int], bool]) -> Change:
    return lambda rows: [row for at, row in enumerate(rows) if is_kept(at)]


def without(*names: str, then: Change = list) -> Change:
    return lambda rows: then([{name: cell for name, cell in row.items() if name not in names} for row in rows])


def also(*more: dict[str, Any]) -> Change:
    """With more rows behind them, which are the last one but for these cells."""
    return lambda rows: [*rows, *(rows[-1] | cells for cells in more)]


def time_of(row: Row) -> datetime:
    return datetime.fromisoformat(row["Half hour"])


def uneven(at: int, row: Row) -> str:
    """Up to nine minutes later."""
    return str(time_of(row) + timedelta(minutes=at * 7 % 10))


def as_written(form: str) -> Change:
    return each(Half_hour=lambda _, row: time_of(row).strftime(form))


def of_days(rows: Sequence[Row]) -> list[Row]:
    """At the first twelve days of months, as days before months."""
    days = [FIRST + timedelta(days=31 * (at % 12) + at // 12 % 12) for at in range(len(rows))]
    return [row | {"Half hour": day.strftime("%d/%m/%Y")} for row, day in zip(rows, days, strict=True) if day.day <= 12]


NO_TIME = without("Half hour")
REMARK = each(remark=lambda _, row: f"sold at {row['demand']} MW for {row['price']}")
LOAD = each(load=lambda _, row: float(row["demand"]))
CLOSED = "1996-05-{:02}"
BERLIN = local("2023-10-20", minutes=30, days=40)
PUT_BACK = without("demand", "Day.of week", then=each(Half_hour=lambda at, _: BERLIN[at]))
NOISE = np.random.default_rng(0).random(1920)
NAMES = {"Kunden-Nr": "K{:05}", "invoiceNumber": "{}", "Parcel": "AB-{:04}/x", "ticket": "{}"}
AMOUNTS: Mapping[str, Callable[[bool, int], object]] = {
    "zero without": lambda rare, at: 17.5 * at + 3 if rare else 0,
    "empty without": lambda rare, at: 17.5 * at + 3 if rare else "",
    "below all others": lambda rare, at: -1.5 * at - 3 if rare else 0.25 * at,
}
UNIQUE: Mapping[str, Callable[[int], object]] = {
    "texts": lambda at: f"said {at}",
    "addresses": lambda at: f"c{at}@mail.example",
    "whole numbers": lambda at: at * (-1) ** at * 1009,
    "fractions": lambda at: at / 7,
}


def up(row: Row) -> int:
    return int(row["Trend"] == "up")


def label_of(shift: int) -> Change:
    """With the label of another row."""
    return lambda rows: [row | {"other": up(rows[(at + shift) % len(rows)])} for at, row in enumerate(rows)]


def repeated(*more: Row) -> Change:
    """Ten rows come twice, and rows that were sent once more, corrected."""

    def change(rows: Sequence[Row]) -> list[Row]:
        made = each(Half_hour=uneven, parcel=lambda at, _: str(7000 + at))(rows)
        made += [made[-1] | cells for cells in more]
        return [*made[:40], *made[30:]]

    return change


VARIANTS: Mapping[str, tuple[Change, dict[str, Any]]] = {
    # What is conspicuous in the rows.
    "repeated rows": (lambda rows: [rows[at - at % 2] | {"Half hour": row["Half hour"]}
                                    for at, row in enumerate(rows)], {}),
    "spellings": (each(Trend=lambda at, _: ("Yes", "yes", "no")[at % 3]), {}),
    "rows without a label": (each(Trend=lambda at, row: "" if at % 10 == 0 else row["Trend"]), {}),
    "rows without the label ahead": (each(demand=lambda at, row: "" if at % 96 == 0 else row["demand"]),
                                     {"label": "demand", "horizon_hours": 3}),
    "a rare class": (each(Trend=lambda at, _: "up" if at % 33 == 0 else "down"), {}),
    "few of a class": (each(sort=lambda at, _: "abc"[(at % 50 == 0) + (at % 7 == 0)]), {"label": "sort"}),
    "days far before": (each(ordered=lambda at, _: "1900-01-01" if at % 10 == 0 else CLOSED.format(at % 28 + 1)),
                        {"event_time": "Half hour"}),
    "the time of day apart": (lambda rows: without("Half hour")(
        [{"Date": row["Half hour"][:10], "Time": row["Half hour"][11:16]} | row for row in rows]), {}),
    "excel's days alone": (without("Half hour", then=each(date=lambda at, _: 45292 + at / 48)), {}),
    "excel's days as the time": (each(date=lambda at, _: 45292 + at / 48), {"event_time": "date"}),
    # Rows that would be quarantined.
    "a line of totals": (lambda rows: [*rows, dict.fromkeys(rows[0], "") | {"Day.of week": "Total", "demand": "1"}],
                         {}),
    "a time that is none": (also({"Half hour": "Total"}), {}),
    "a row of the far future": (also({"Half hour": "9999-12-31 23:00:00"}), {}),
    "refused rows": (lambda rows: [*rows, rows[5], rows[6] | {"Half hour": "1996-07-01", "Trend": ""}],
                     {"key": ("Half hour",)}),
    "a number with a comma": (each(demand=lambda at, row: "12,5" if at == 700 else row["demand"]), {}),
    "unknown among numbers": (each(price=lambda _, row: row["price"] or "unknown"), {}),
    "words for nothing": (each(price=lambda _, row: row["price"] or "?",
                               demand=lambda at, row: "k.A." if at % 10 == 0 else row["demand"]), {}),
    "numbers too large": (each(account=lambda at, _: 10**19 + at % 30), {}),
    "a number too large": (each(account=lambda at, _: 10**19 if at == 7 else at % 30), {}),
    # Types, ranges and features.
    "free text": (REMARK, {}),
    "free text beside a history": (lambda rows: LOAD(REMARK(rows)), {"label": "load", "horizon_hours": 1}),
    "short texts of many values": (each(code=lambda at, row: f"{row['demand']}-{at // 2}"), {}),
    "a person": (each(gender=lambda at, _: "fm"[at % 2]), {}),
    "a person that is kept": (each(gender=lambda at, _: "fm"[at % 2]), {"keep": ("gender",)}),
    "two decimals as classes": (each(sold=lambda at, _: "" if at % 90 == 0 else f"{at % 3 // 2}.0"), {"label": "sold"}),
    # Label, time and key.
    "an index without a name": (lambda rows: [{"": at, **row} for at, row in enumerate(rows)], {}),
    "no label": (without("weekend"), {"label": ""}),
    "a label that people give": (without("Trend"), {"classes": ("up", "down")}),
    "few rows that people label": (lambda rows: without("Trend")(rows[::8]), {"classes": ("up", "down")}),
    "classes and the one that hurts": (without("Trend"), {"classes": ("up", "down"), "hurts": "up"}),
    "classes of a label that is there": (list, {"classes": ("up", "down")}),
    "a label by its name": (lambda rows: [{"Is Fraud": at % 2, **row} for at, row in enumerate(rows)], {"label": ""}),
    "classes as frequent": (each(Trend=lambda at, _: ("down", "up")[at % 2]), {}),
    "no event time": (NO_TIME, {"has_no_event_time": True, "has_no_key": True}),
    "rows in order": (NO_TIME, {"is_in_order": True, "has_no_key": True}),
    "no time and no key": (NO_TIME, {}),
    "nearly a key": (without("Half hour", then=each(ticket=lambda at, _: f"T{at - (at % 20 == 0)}")), {}),
    "a key": (without("Half hour", then=each(ticket=lambda at, _: f"T{at}")), {}),
    "two numbers that differ": (without("Half hour", then=each(sold=lambda at, _: at * at * 13 % 1_000_003,
                                                               seen=lambda at, _: at * at * 17 % 1_000_003)), {}),
    "two ids": (without("Half hour", then=each(itemId=lambda at, _: 7 * at, otherId=lambda at, _: 11 * at)), {}),
    "an id and an uneven time": (each(Half_hour=uneven, reading=lambda at, _: str(7000 + at)), {}),
    "a key of which one repeats": (lambda rows: (lambda made: [*made, made[7]])(each(
        CaseNo=lambda at, _: f"C{at:05}", Half_hour=lambda _, row: row["Half hour"][:14] + "00:00")(rows)), {}),
    "a key at a time": (lambda rows: [row | {"meter_id": f"m{at % 4}", "Half hour": rows[at // 4]["Half hour"]}
                                      for at, row in enumerate(rows)], {}),
    "a key at a time of which two repeat": (lambda rows: (lambda made: [*made, made[7], made[9]])(
        [row | {"site": site} for row in rows[:960] for site in ("north", "south")]), {}),
    "days and meters": (each(Half_hour=lambda _, row: row["Half hour"][:10], meter=lambda at, _: str(at % 48)),
                        {"key": ("meter", "Half hour")}),
    "times of germany": (as_written("%d.%m.%Y %H:%M"), {}),
    "a time format": (as_written("%d.%m.%Y %H:%M"), {"time_format": "dd.MM.yyyy HH:mm"}),
    "a time format that reads nothing": (as_written("%d.%m.%Y %H:%M"), {"time_format": "yyyy/MM/dd"}),
    "a clock that is put back": (PUT_BACK, {}),
    "a clock that is put back, without a key": (PUT_BACK, {"has_no_key": True}),
    "days that may be months": (of_days, {}),
    "days before months": (of_days, {"time_format": "dd/MM/yyyy", "has_no_key": True}),
    "times in two notations": (each(Half_hour=lambda at, row: row["Half hour"] if at % 10 == 3
                                    else time_of(row).strftime("%d.%m.%Y %H:%M")), {"event_time": "Half hour"}),
    "milliseconds": (each(ms=lambda at, _: 1_700_000_000_000 + at), {"event_time": "ms"}),
    "a second time": (each(sold=lambda at, _: f"1996-04-{1 + at % 28:02}"), {"event_time": "Half hour"}),
    "times that often lack": (each(Half_hour=lambda at, row: "" if at % 20 == 0 else row["Half hour"]),
                              {"event_time": "Half hour"}),
    "few days": (only(lambda at: at < 48 * 5), {}),
    "one class to train on": (each(Trend=lambda at, _: "up" if at < 900 and at % 2 else "down"), {}),
    "few rows": (only(lambda at: at < 60 or at > 1860), {}),
    "a horizon without a key": (LOAD, {"label": "load", "horizon_hours": 1, "has_no_key": True}),
    "a horizon in steps": (LOAD, {"label": "load", "horizon_steps": 48}),
    "a label ahead": (list, {"label": "demand", "horizon_hours": 24.0}),
    "words as the label": (list, {"label": "Day.of week"}),
    "a number as the label": (list, {"label": "demand", "unit": "MW"}),
    "an interval": (list, {"label": "demand", "kind": "interval", "horizon_hours": 3}),
    "a forecast": (list, {"label": "demand", "kind": "forecast", "horizon_hours": 3}),
    "stars": (each(stars=lambda at, _: 1 + at % 5), {"label": "stars"}),
    "stars as a number": (each(stars=lambda at, _: 1 + at % 5), {"label": "stars", "kind": "regression"}),
    **{f"{name} and {'uneven' if is_uneven else 'even'} times":
       (each(**{name: lambda at, _, cell=cell: cell.format(at + 1)}, **times), {})
       for name, cell in NAMES.items() for is_uneven, times in ((False, {}), (True, {"Half_hour": uneven}))},
    **{f"{what} that differ": (each(Half_hour=uneven, remark=lambda at, _, make=make: make(at)), {})
       for what, make in UNIQUE.items()},
    "repeated rows of a key": (repeated(), {}),
    "repeated rows without a key": (repeated(), {"has_no_key": True}),
    "repeated rows and a corrected one": (repeated({"parcel": "7000"}), {"key": ("parcel",)}),
    # Columns that give the label away.
    "the label itself": (each(settled=lambda _, row: up(row)), {}),
    "the label itself is kept": (each(settled=lambda _, row: up(row)), {"keep": ("settled",)}),
    "the label with noise": (each(settled=lambda at, row: up(row) + 0.4 * NOISE[at]), {}),
    "the label in words": (each(settled=lambda _, row: "ab"[up(row)]), {}),
    "the label of the row before": (label_of(-1), {}),
    "the label of the row after": (label_of(1), {}),
    "the label in another unit": (each(kilo=lambda _, row: int(row["demand"]) / 1000 + 3), {"label": "demand"}),
    "a hint that errs": (each(hint=lambda at, row: up(row) ^ (at % 7 == 0)), {}),
    **{f"an amount of 1 in {every}, {what}":
       (each(Trend=lambda at, _, every=every: "up" if at % every == 7 else "down",
             refund=lambda at, _, every=every, amount=amount: amount(at % every == 7, at)), {})
       for every in (25, 101) for what, amount in AMOUNTS.items()},
    "steps that fall into a gap": (each(Half_hour=lambda at, _: (
        FIRST + timedelta(hours=at + 24 * 24 * (at >= 1300))).isoformat()), {}),
}  # fmt: skip
"""By name, the change of the rows and the options."""


def told(path: Path, words: Mapping[str, Any]) -> list[str]:
    """What is guessed, left out and said of a file, and both documents; the error that says what is missing."""
    try:
        found = proposed(path, **words)
    except ConfigurationError as error:
        return [str(error)]
    lines = [*_said(found), *found.contract_yaml.splitlines(), *found.workload_yaml.splitlines()]
    return [FRAGILE.sub("…", line) for line in lines]


def _said(found: Proposal) -> list[str]:
    guesses = {
        what: (getattr(one.value, "name", one.value), one.reason, *one.others) for what, one in found.guesses.items()
    }
    return [*(f"{what}: {'; '.join(map(str, words))}" for what, words in guesses.items()),
            *(f"no feature: {one.name}: {one.reason}" for one in found.features.others), *remarks(found)]  # fmt: skip


@pytest.fixture(scope="module")
def plain(market: list[Row], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return told(as_file(market, tmp_path_factory.mktemp("plain") / "market.csv"), {})


def file_of(variant: str) -> str:
    return f"{re.sub('[^a-z0-9]+', '-', variant.lower())}.txt"


def test_what_is_proposed_is_recorded(plain: list[str]) -> None:
    compare(RECORDED / "market.txt", "\n".join(plain))
    compare_folder(RECORDED, {"market.txt", *map(file_of, VARIANTS)})


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_proposed_for_a_variant_instead_is_recorded(
    name: str, plain: list[str], market: list[Row], as_csv: Writer
) -> None:
    change, words = VARIANTS[name]
    now = told(as_csv(change(market)), words)
    added = [line[1:] for line in unified_diff(plain, now, n=0, lineterm="") if re.match(r"\+(?!\+\+ )", line)]
    assert added, "a variant has something else"
    compare(RECORDED / file_of(name), "\n".join(added))
