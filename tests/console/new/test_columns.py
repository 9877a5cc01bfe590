"""What a column alone tells: kind, rules, words for missing, persons, the label that it would be, what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.columns import Profile, observe
from millrace.console.new.contract import column_of
from millrace.console.new.features import calendar_parts
from millrace.console.new.kinds import label_scale, likely_kind
from millrace.console.new.marks import looks_marked
from millrace.console.new.numbers import far_values
from millrace.console.new.remarks import empty_cells, of_column, spellings
from millrace.console.new.times import looks_like_local_time
from millrace.console.new.words import why_protected
from tests.console.new.conftest import observed
from tests.recorded import compare, compare_folder

RECORDED = Path(__file__).parents[1] / "recorded/columns"
NOISE = np.random.default_rng(0)
FIRST = datetime.fromisoformat("2020-01-01")
DAYS = [date(2023, 1, 1) + timedelta(days=at) for at in range(400)]
Cells = Mapping[str, Any]
Named = Sequence[tuple[str, Sequence[Any]]]


def dry_hours(*odd: float) -> Any:
    """Dry in 93 % of the hours."""
    wet = NOISE.random(2000) < 0.07
    return np.array([*np.round(NOISE.lognormal(1, 1.1, 2000) * wet, 1), *odd])


AGES = NOISE.integers(18, 90, 2000).astype(float)
DEGREES = NOISE.normal(15, 5, 2000)
MONEY = NOISE.lognormal(7, 1, 9000)
COUNTED = np.random.default_rng(5).poisson(2.5, 800)
KILOMETRES = np.round(NOISE.exponential(18, 8000), 1)
SHARES = 0.4 + np.arange(2000) / 1e5
AMOUNTS: Cells = {
    "degrees": DEGREES,
    "degrees and two far ones": [*DEGREES, 9999.0, -999.0],
    "dry hours": dry_hours(),
    "dry hours and a far one": dry_hours(9831.0),
    "the same below 0": -dry_hours(9831.0),
    "many of one value": [*NOISE.normal(0, 1, 1000), *[99.0] * 20],
    "few values": [1.0, 2.0] * 500 + [1e6],
    "a mark below": [*DEGREES, *[-999.0] * 12],
    "a mark of 4 %": [*DEGREES, *[-999.0] * 80],
    "a mark of 8 %": [*DEGREES, *[-999.0] * 180],
    "zeros of 8 %": [*DEGREES, *[0.0] * 180],
    "a mark above money": [*MONEY, *[99_999_999.0] * 30],
    "a mark below money": [*MONEY, *[-1.0] * 400],
    "counts": [*NOISE.integers(0, 5, 3000).astype(float), *range(10)],
    "ages and a mark": [*AGES, *[-1.0] * 3],
    "ages and three below 0": [*AGES, -3.0, -2.0, -1.0],
    "counts and a mark": [*NOISE.poisson(2, 2000).astype(float), *[-1.0] * 10],
    "a mark of 5 %": [*NOISE.integers(0, 90, 2000).astype(float), *[-1.0] * 100],
    "shares and two below 0": [*NOISE.uniform(0, 100, 2000), -13.5, -2.0],
    "money and one below 0": [*NOISE.lognormal(3, 1, 2000), -8.9],
    "both sides of 0": NOISE.normal(0, 1, 2000),
    "whole degrees": np.round(NOISE.normal(12, 5, 20_000)),
    "many below 0": [*AGES, *-AGES[:100]],
    "kilometres": KILOMETRES,
    "kilometres and a mark": [*KILOMETRES, *[-999.0] * 40],
    "shares and far zeros": [*SHARES, 0.0, 0.0],
    "amounts and far halves": [*(SHARES * 1000), 0.5, 0.5],
    "price": 2 + np.arange(300) * 7 % 29 + 0.5,
    "outdoor_temperature": 2 + np.arange(300) * 7 % 29 + 0.5,
    "Δ °C": 2 + np.arange(300) * 7 % 29 + 0.5,
}
LABELS: Cells = {
    "words": ["a", "b"] * 10,
    "flags": [True, False] * 10,
    "0 and 1": [0, 1] * 10,
    "three words": ["a", "b", "c"] * 10,
    "words of a scale": ["low", "high", None, "mid"] * 50,
    "five numbers": [1, 2, 3, 4, 5] * 10,
    "21 numbers": range(21),
    "decimals": [1.5, 2.5, 3.5] * 9,
    "one word": ["same"] * 9,
    "201 texts": [f"text {at}" for at in range(201)],
    "visits_count": [0, 1, 2, 3] * 10,
    "was_count": [0, 1] * 10,
    "stars": [1, 2, 3, 4] * 10,
    "no_shows": COUNTED,
    "class": COUNTED,
    "digit": [*range(10)] * 80,
    "quality": 3 + COUNTED,
    "code": [0] * 300 + [1] * 20 + [2] * 200 + [3] * 5 + [4] * 90 + [5] * 9,
    "amounts": np.random.default_rng(5).lognormal(6, 1.0, 500),
    "amounts and 0": [0.0, *np.random.default_rng(5).lognormal(6, 1.0, 500)],
    "one below 0": [-0.1, *np.random.default_rng(5).lognormal(6, 1.0, 500)],
    "normal": np.random.default_rng(5).normal(100, 9, 500),
    "exponential": np.random.default_rng(5).standard_exponential(2000),
    "a long tail": np.random.default_rng(5).lognormal(6, 1.6, 2000),
    "a long tail below": -np.random.default_rng(5).lognormal(6, 1.6, 2000) + 1e6,
    "all equal": [7.0] * 300,
}
TEXTS: Cells = {
    "%": ["12 %", "7%", "8"],
    "$": ["$1,299.00", "$7"],
    "points": ["1.299 €", "12 €"],
    "kilograms": ["1.250 kg", "3.500 kg"],
    "commas": ["3,5 %", "12 %"],
    "euros in two ways": ["1 234,50 €", "7 EUR", "8 €"],
    "two units": ["5.2 kg", "300 g", "1 kg"],
    "kelvin": ["293 K", "300 K"],
    "celsius": ["21.5°C", "-3 °C"],
    "millions": ["$1.2M", "$850k", "$7"],
    "thousands": ["1.2k", "3.4M", "12"],
    "hours and minutes": ["1h 20m", "45m"],
    "clock of seconds": ["00:45:10", "1:00:00"],
    "clock": ["14:30", "9:15"],
    "clock of minutes": ["75:30", "9:15"],
    "rooms": ["12a", "12b", "13"],
    "hours of the day": ["9 AM", "3 pm"],
    "postcodes": ["1234 AB", "99 EF"],
    "two currencies": ["USD 12", "EUR 13"],
    "two quantities": ["5 kg", "3 km"],
    "addresses": ["12 Main Street", "13 Main Street"],
    "a weight in words": ["12 kg", "old"],
    "two clocks": ["1:2:3", "4:5:6"],
    "codes": ["12B", "9B"],
    "minutes ago": ["45 m", "3 h ago"],
    **{f"numbers and {word}": ["1", "2"] * 5 + [word] * 3
       for word in ("?", "NA", "n/a", "NULL", "-", "unknown", "Unknown", "NONE", "not available", "--", "unbekannt")},
    "decimals and unknown": ["1.5", "-2"] * 5 + ["unknown"] * 3, "times and tbd": ["2024-01-02", "2024-01-03", "tbd"],
    "days and unknown": ["2024-05-01", "2024-05-02"] * 5 + ["unknown"] * 3,
    "one unknown": [*map(str, range(4000)), "unknown"],
    "few unknown and a weight": [*map(str, range(996)), "unknown", "unknown", "NA", "4 kg"],
    **{f"{known[0]} and unknown": known * 50 + ["unknown"] * 30
       for known in (["fair", "foul"], ["true", "false"], ["007", "008"], ["12a", "b7"])},
    "numbers and pending": ["1", "2", "3"] * 20 + ["pending"] * 9,
    "numbers and 12a": ["1", "2", "3"] * 20 + ["12a"] * 9,
    "nothing but words for nothing": ["unknown", "missing"] * 5,
    "None on most days": ["None"] * 999 + ["Easter", "Christmas"],
    "None on few days": ["None"] * 40 + ["Easter", "Christmas"] * 30,
    "None beside numbers": ["None"] * 999 + ["1.5", "2.5"],
    "spellings": ["New  York", "new york", "Rome"] * 2,
    "an empty cell and a word": ["", "NA", None, "a", "b"],
}  # fmt: skip
PERSONS: Named = (
    ("sex", ["x", "y"]), ("customerAge", [31, 42]), ("marital_status", ["a", "b"]), ("native-country", ["a", "b"]),
    ("E-mail", ["a", "b"]), ("name", ["Ada", "Bo"]), ("Last Name", ["Ada", "Bo"]), ("Driver name", ["Ada", "Bo"]),
    ("teacherName", ["Ada", "Bo"]), ("Alter (Jahre)", [31, 42]), ("Geschlecht", ["a", "b"]), ("Straße", ["a", "b"]),
    ("Nombre", ["Ada", "Bo"]), ("Âge du client", [31, 42]), ("PRÉNOM", ["Ada", "Bo"]), ("Dirección", ["a", "b"]),
    ("fecha_de_nacimiento", ["a", "b"]), ("contact", ["a@x.org", "b@y.de"]), ("who", ["Male", "Female"]),
    ("reach", ["+49 731 123456", "0731/654321"]), ("reach", ["+49 (731) 123-45-67", "+1 (202) 555-01-23"]),
    ("dni", [48_213_377, 50_112_904]), ("phone", [4_973_112_345.0, 4_973_154_321.0]), ("kin", ["Husband", "Wife"]),
)  # fmt: skip
NO_PERSONS: Named = (
    ("usage", [1, 2]), ("DNI (W/m^2)", [0, 913]), ("ip calls", [3.5, 7.0]), ("stage", ["a", "b"]), ("page", [1, 2]),
    ("account", ["10000000000000000007", "10000000000000000012"]), ("product_name", ["Ada", "Bo"]),
    ("driver version", ["a", "b"]), ("day", ["2024-01-01x", "2024-02-01x"]), ("half", ["a", "f"]), ("Größe", [1, 2]),
    ("city", ["Ulm", "Bonn"]), ("alternative", [1, 2]), ("Verkehr", [1, 2]), ("nombre", [1, 2]),
    ("Do Not E_mail", ["Yes", "No"]), ("has_phone", [0, 1]),
)  # fmt: skip


def local(start: str, *, zone: str = "Europe/Berlin", days: int = 60, minutes: int = 60, meters: int = 1) -> list[str]:
    """Times of a clock, without their offset."""
    first, steps = datetime.fromisoformat(start).replace(tzinfo=UTC), days * 24 * 60 // minutes
    times = [(first + timedelta(minutes=minutes * at)).astimezone(ZoneInfo(zone)) for at in range(steps)]
    return [f"{time:%Y-%m-%d %H:%M}" for time in times for _ in range(meters)]


STEADY = local("2023-10-01", zone="UTC", days=200)
EPOCH = 1_704_067_200
NUMBERED_TIMES: Named = (
    *((name, [45292.5, None, 45292]) for name in ("date", "Order Date", "day", "sold_on", "Zeitpunkt", "a.time")),
    ("Date", [20240101, 20231231]), ("Date", [EPOCH, EPOCH + 60]), ("Date", [EPOCH + 0.5, EPOCH + 60]),
    ("Date", [1000 * EPOCH, 1000 * EPOCH + 60_000]), ("amount", [45292.0, 45292.5]), ("on_hold", [45292.0, 45292.5]),
    ("day", [1, 31]), ("date", [20249901, 20240102]), ("customer", [20240101, 20240102]), ("time", [20_001, 79_999]),
    ("time", [0, EPOCH + 60]), ("date", [45292, 45292]),
)  # fmt: skip


def every(hours: float, rows: int) -> list[str]:
    return [str(FIRST + timedelta(hours=hours * at)) for at in range(rows)]


def quarters(days: int) -> list[str]:
    firsts = [datetime(2010 + at // 4, 1 + 3 * (at % 4), 1) for at in range(48)]  # noqa: DTZ001
    return [str(first + timedelta(days=days)) for first in firsts]


def written(form: str, days: Sequence[date]) -> list[str]:
    return [day.strftime(form) for day in days]


EARLY = [day for day in DAYS if day.day < 13]
TIMES: Cells = {
    "autumn": local("2023-10-01"),
    "spring": local("2024-03-01"),
    "New York": local("2024-10-15", zone="America/New_York"),
    "Sydney": local("2024-03-20", zone="Australia/Sydney"),
    "London": local("2023-10-01", zone="Europe/London"),
    "quarters of an hour": local("2023-10-01", minutes=15),
    "meters": local("2023-10-01", meters=5),
    "winter": local("2023-10-01", days=200),
    "UTC": STEADY,
    "an offset that stays": local("2023-10-01", zone="Etc/GMT-1", days=200),
    "no change in these days": local("2023-12-01"),
    "with an offset": [f"{time}+02:00" for time in local("2023-10-01")],
    "gaps anywhere": [time for at, time in enumerate(STEADY) if at % 101],
    "repeated anywhere": sorted([*STEADY, *STEADY[::101]]),
    "events": sorted(STEADY[at] for at in np.random.default_rng(0).integers(0, len(STEADY), 9000)),
    "years before days": written("%y/%m/%d", DAYS),
    "days before years": written("%d/%m/%y", DAYS),
    "days before months": written("%d/%m/%Y", EARLY),
    "months before days, falling": written("%m/%d/%Y", EARLY[::-1]),
    "years before days, in two parts": written("%y/%m/%d", [*DAYS[200:], *DAYS[:200]]),
    "days or months": written("%m/%d/%Y", sorted(EARLY, key=lambda day: day.day)),
    "with a weekday": written("%a %b %d 00:00:00 %Y", DAYS),
    **{f"as {form}": [form.format(1950 + at // 4, 1 + at % 4) for at in range(240)]
       for form in ("{0} Q{1}", "{0}-Q{1}", "Q{1} {0}", "{0}Q{1}")},
    "100 hours": every(1, 100),
    "20 days of hours": every(1, 480),
    "20 days": every(24, 20),
    "60 weeks": every(168, 60),
    "800 days": every(24, 800),
    "first days of quarters": quarters(0),
    "last days of quarters": quarters(-1),
    "fourth days of quarters": quarters(3),
}  # fmt: skip
GROUPS: Mapping[str, Named] = {
    "amounts": [*AMOUNTS.items()],
    "labels": [*LABELS.items()],
    "texts": [*TEXTS.items()],
    "persons": PERSONS,
    "no-persons": NO_PERSONS,
    "times": [*TIMES.items()],
    "numbered-times": NUMBERED_TIMES,
}


def told(name: str, cells: Any) -> Iterator[str]:
    found = observe(name, pa.chunked_array([pa.array(cells)]), typed_text=True)
    assert isinstance(found, Profile)
    column, kind = column_of(found), likely_kind(found)
    yield f"{name}: {found.kind}, {found.distinct:,} values"
    yield f"missing {found.cells.null_count}, empty {found.empty}, misfits {found.misfits}"
    yield f"required {column.required}; {'; '.join(map(str, column.rules))}"
    if kind:
        scale = label_scale(found) if found.is_number else ""
        yield f"label: {kind.name} {scale} {dict(kind.settings(found))}: {kind.reason(found)}"
    yield from filter(None, (found.changed, looks_marked(found.cells) if found.kind == "string" else ""))
    yield from map(
        str, filter(None, (found.number_format, found.unit, found.time_format and found.time_format.pattern))
    )
    yield from filter(None, (", ".join(found.missing_words), ", ".join(found.own_words)))
    if found.is_time:
        yield f"calendar {calendar_parts(found)}; first {found.cells[0]}, last {found.cells[-1]}"
        yield from filter(None, [looks_like_local_time(found.cells)])
    yield from filter(None, [why_protected(name, found.cells)])
    yield from (*of_column(found), *spellings([found]), *(["may be times"] if found.may_be_time else ()))


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_column_tells_is_recorded(group: str) -> None:
    lines = [
        "\n".join([first, *(f"  {line}" for line in others)])
        for name, cells in GROUPS[group]
        for first, *others in [list(told(name, cells))]
    ]
    compare(RECORDED / f"{group}.txt", "\n".join(lines))
    compare_folder(RECORDED, {f"{one}.txt" for one in GROUPS})


@pytest.mark.parametrize("power", [0.8, 1.5, 3.0])
def test_a_heavy_tail_has_no_odd_cell(power: float) -> None:
    """Whatever its largest value is beside the next one."""
    draws = np.random.default_rng(0)
    assert [far_values(observed(draws.pareto(power, 3000))) for _ in range(50)] == [[]] * 50


@pytest.mark.parametrize("draw", ["normal", "standard_exponential", "lognormal"])
def test_a_tail_is_no_mistake(draw: str) -> None:
    assert far_values(observed(getattr(np.random.default_rng(0), draw)(size=20_000))) == []


def test_empty_cells_are_counted_and_named() -> None:
    lost = {f"c{at}": many for at, many in enumerate((0, 30, 2, 1, 1, 1, 1))}
    seen = [observed([None] * many + ["north", "south"] * 50, name=name) for name, many in lost.items()]
    [said] = empty_cells(seen)
    assert said.endswith("c1 30 (23.1%), c2 2 (2.0%), c3 1 (1.0%), c4 1 (1.0%), c5 1 (1.0%), 1 more columns")
    assert list(empty_cells(seen[:1])) == []
