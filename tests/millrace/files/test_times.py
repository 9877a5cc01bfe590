"""Times in every pattern: what was written is read back, and anything else is a misfit, whichever way it is read."""

# ruff: noqa: DTZ001

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.kinds import Kind
from millrace.contract.schema import Column, Table
from millrace.contract.time_format import TimeFormat
from millrace.files.cast import from_csv, from_json
from tests.fuzz import examples
from tests.millrace.files.conftest import Read, write_time

DAYS = [
    ["MM", "/", "dd", "/", "yyyy"],
    ["M", "/", "d", "/", "yy"],
    ["dd", ".", "MM", ".", "uuuu"],
    ["d", ". ", "MMMM", " ", "yyyy"],
    ["dd", "-", "MMM", "-", "yyyy"],
    ["EEE", ", ", "dd", " ", "MMM", " ", "yyyy"],
    ["yyyy", "MM", "dd"],
    ["yyyy", "/", "M", "/", "d"],
    ["'day '", "dd", "' of '", "MM", ", ", "yyyy"],
]
CLOCKS = [
    [],
    [" ", "HH", ":", "mm"],
    [" ", "H", "'h'", "mm"],
    ["'T'", "HH", "mm", "ss"],
    [" ", "HH", ":", "mm", ":", "ss", ".", "SSSSSS"],
    [" ", "h", ":", "mm", " ", "a"],
    [" ", "hh", ":", "m", ":", "s", "a"],
]
ZONES = [[], ["XX"]]
PATTERNS = [[*day, *clock, *zone] for day in DAYS for clock in CLOCKS for zone in ZONES if clock or not zone]
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59, 999_999))
HOSTILE = st.sampled_from(
    ["02/30/2024", "30.02.2024", "31-Apr-2024", "1/2/24", "01/02/2024 ", "2024-01-02", "20240102x", "", "0",
     "١٢/٠٣/٢٠٢٤",
     "12/31/2024 24:00", "1/1/24 13:00 AM", "01/02/0000", "99999999", "29.02.2023 00:00", "1/1/24 0:00 PM",
     "\n01/02/2024"]
)  # fmt: skip


def kind_of(words: list[str]) -> Kind:
    return "timestamp_utc" if "XX" in words else "timestamp"


@pytest.mark.parametrize("words", PATTERNS, ids="".join)
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_what_a_pattern_writes_is_read_back(words: list[str], data: st.DataObject) -> None:
    form, kind = TimeFormat("".join(words)), kind_of(words)
    form.check(kind)
    zone = UTC if kind == "timestamp_utc" else None
    at = data.draw(TIMES).replace(tzinfo=zone)
    text = write_time(at, words)
    kept = {"minute": "mm" in words or "m" in words, "second": "ss" in words or "s" in words}
    kept |= {"hour": bool({"HH", "H", "hh", "h"} & {*words}), "microsecond": "SSSSSS" in words}
    expected = at.replace(**{name: 0 for name, is_kept in kept.items() if not is_kept})  # type: ignore[arg-type]
    assert form.parse(text, kind) == expected
    column = Column(name="t", kind=kind, time_format=form)
    for read in (
        lambda cells: from_csv(cells, column, Table(name="t", columns=(column,)).csv),
        lambda c: from_json(c, column),
    ):
        values, wrong = read(pa.array([text, None]))
        assert (values.to_pylist(), wrong) == ([expected, None], [])


@pytest.mark.parametrize(
    ("pattern", "text", "month"),
    [
        ("yyyy 'Q'Q", "1998 Q3", 7),
        ("yyyy-'Q'Q", "1998-Q4", 10),
        ("'Q'Q yyyy", "Q1 1998", 1),
        ("yyyy-MM", "1998-05", 5),
    ],
)
def test_a_month_or_a_quarter_is_its_first_day(pattern: str, text: str, month: int) -> None:
    for kind in ("timestamp", "date"):
        column = Column(name="t", kind=kind, time_format=TimeFormat(pattern))
        column.time_format.check(kind)  # type: ignore[union-attr]
        values, wrong = from_json(pa.array([text, "1998 Q5", "1998-Q0", "Q 1998", "1998-13"]), column)
        assert values.to_pylist()[0] == column.time_format.parse(text, kind)  # type: ignore[union-attr]
        assert (values[0].as_py().year, values[0].as_py().month, values[0].as_py().day) == (1998, month, 1)
        assert wrong == [1, 2, 3, 4]


@pytest.mark.parametrize("pattern", ["yyyy'Q'Q HH:mm", "yyyy-MM HH", "yyyy'Q'Q-MM", "yyyy-'Q'Q-dd"])
def test_a_quarter_has_no_clock_no_month_and_no_day(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^a "):
        TimeFormat(pattern).check("timestamp")


@pytest.mark.parametrize("words", PATTERNS[::2], ids="".join)
@settings(max_examples=examples(25), deadline=None)
@given(texts=st.lists(HOSTILE | st.text(alphabet="0123456789/.:- APM", max_size=20), max_size=8))
def test_both_ways_find_the_same_misfits(words: list[str], texts: list[str]) -> None:
    form, kind = TimeFormat("".join(words)), kind_of(words)
    texts = [text.strip() for text in texts]
    column = Column(name="t", kind=kind, time_format=form)
    values, wrong = from_csv(pa.array(texts, pa.string()), column, Table(name="t", columns=(column,)).csv)
    for at, text in enumerate(texts):
        try:
            expected = form.parse(text, kind) if text else None
        except ValueError:
            assert at in wrong, text
        else:
            assert (at in wrong, values[at].as_py()) == (False, expected), text


@pytest.mark.parametrize(
    ("pattern", "kind", "said"),
    [
        ("%m/%d/%Y", "date", "yyyy"),
        ("dd/mm/yyyy", "date", "a month"),
        ("dd/MM/yyyy HH:mm", "date", "no time of day"),
        ("dd/MM/yyyy mm", "timestamp", "an hour before a minute"),
        ("dd/MM/yyyy hh:mm", "timestamp", "h together with a"),
        ("dd/MM/yyyy HH:mm", "timestamp_utc", "an offset"),
        ("dd/MM/yyyy HH:mm XX", "timestamp", "an offset"),
        ("d/M/yyyy H'0'", "timestamp", "two digits"),
        ("dd/MM/yyyy dd", "date", "each field once"),
        ("yyyy-dd-MM", "date", "ISO 8601"),
        ("yyyy-MM-dd'T'mm:HH:ss", "timestamp", "ISO 8601"),
        ("' 'yyyy-MM-dd", "date", "no space"),
        ("yyyy-MM-ddTHH", "timestamp", "single quotes"),
        ("dd/MM/yyyy 'at", "date", "quotes that close"),
        ("", "date", "a year"),
    ],
)
def test_a_pattern_that_does_not_say_one_time_is_refused(pattern: str, kind: Kind, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TimeFormat(pattern).check(kind)


def test_two_digits_are_years_of_this_century_and_offsets_are_turned_to_utc() -> None:
    assert TimeFormat("M/d/yy").parse("7/4/57", "date").year == 2057
    found = TimeFormat("dd.MM.yyyy HH:mm XXX").parse("01.01.2024 00:30 +02:00", "timestamp_utc")
    assert found == datetime(2023, 12, 31, 22, 30, tzinfo=UTC)


def test_json_may_hold_iso_texts_as_well(read: Read) -> None:
    at = Column(name="at", kind="timestamp", time_format=TimeFormat("M/d/yyyy"))
    table = Table(name="rows", columns=(at,))
    parsed = read(b'{"at": "7/4/2024"}\n{"at": "2024-07-04T01:00:00"}\n{"at": "07/04/2024"}\n', table)
    assert parsed.rows["at"].to_pylist() == [datetime(2024, 7, 4), datetime(2024, 7, 4, 1)]
    assert [row.line for row in parsed.unparsable] == [3]


@pytest.mark.parametrize("words", [words for words in PATTERNS if "XX" not in words], ids="".join)
@settings(max_examples=examples(25), deadline=None)
@given(
    at=TIMES, place=st.integers(0, 30), letter=st.sampled_from(["", "0", "1", "9", " ", "-", "A"]), cut=st.booleans()
)
def test_an_accepted_text_is_what_the_pattern_writes(
    words: list[str], at: datetime, place: int, letter: str, cut: bool
) -> None:
    form, text = TimeFormat("".join(words)), write_time(at, words)
    near = text[: place % len(text)] + letter + text[place % len(text) + cut :]
    for tried in (near, text.replace("/0", "/"), text.replace(" 0", " "), text.lower(), text.replace("20", "")):
        try:
            read = form.parse(tried, "timestamp")
        except ValueError:
            continue
        assert isinstance(read, datetime)
        assert write_time(read, words) == tried
