"""Numbers with units, currencies and clocks: what they are, and that every road reads the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.number_format import read_number_format
from millrace.contract.schema import Column, Table
from tests.fuzz import examples
from tests.millrace.files.conftest import taken

PERCENT = {"units": {"%": 1}}
EURO = {"units": {"€": 1, "EUR": 1}, "decimal": ",", "thousands": "."}
DOLLAR = {"units": {"$": 1}, "thousands": ","}
MASS = {"units": {"kg": 1, "g": 0.001}}
SPAN = {"units": {"h": 3600, "min": 60, "m": 60}}
CLOCK = {"clock": "h:mm:ss"}
FORMATS = (PERCENT, EURO, DOLLAR, MASS, SPAN, CLOCK)


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        (PERCENT, "12 %", 12),
        (PERCENT, "-3.5%", -3.5),
        (PERCENT, "12", 12),
        (PERCENT, ".5%", 0.5),
        (EURO, "1.234,56 €", 1234.56),
        (EURO, "EUR 1234,5", 1234.5),
        (EURO, "12\u00a0€", 12),
        (DOLLAR, "$1,299.00", 1299.0),
        (DOLLAR, "($1,299.00)", -1299.0),
        (DOLLAR, "$-5", -5),
        (DOLLAR, "-$ 5", -5),
        (MASS, "300 g", 0.3),
        (MASS, "1 kg 300 g", 1.3),
        (SPAN, "1h 20m", 4800),
        (SPAN, "1h20min", 4800),
        (SPAN, "45 min", 2700),
        ({"units": {"$": 1, "k": 1000, "M": 1000000}}, "$1.2M", 1200000),
        ({"units": {"$": 1, "k": 1000, "M": 1000000}}, "-$850k", -850000),
        (CLOCK, "00:45:10", 2710),
        (CLOCK, "-100:00:00.5", -360000.5),
        ({"clock": "m:ss"}, "75:30", 4530),
        ({"clock": "h:mm"}, "14:30", 52200),
    ],
)
def test_a_text_is_this_number(form: dict[str, Any], text: str, number: float) -> None:
    found = read_number_format(form).value_of(text)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (PERCENT, "1,2 %"),
        (PERCENT, "12 kg"),
        (PERCENT, "% 1 %"),
        ({"units": {"$": 1, "k": 1000}}, "$1k 2k"),
        (PERCENT, "12 % 13 %"),
        (PERCENT, "(12 %"),
        (PERCENT, "--5 %"),
        (PERCENT, "nan"),
        (EURO, "1.23 €"),
        (DOLLAR, "$12,34"),
        (SPAN, "1h 20"),
        (SPAN, "1 234 min"),
        (CLOCK, "0:75:00"),
        (CLOCK, "45:10"),
        (PERCENT, f"{'9' * 101} %"),
        (PERCENT, ""),
    ],
)
def test_another_text_is_none(form: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) or "^$"):
        read_number_format(form).plain(text)


@pytest.mark.parametrize(
    "value",
    [{}, [], {"unit": "kg"}, {"units": {"5": 1}}, {"units": {"-": 1}}, {"units": {"kg": 0}}, {"units": {"kg": True}},
     {"units": ["kg"]}, {"decimal": ",", "thousands": ","}, {"clock": "mm"}, {**CLOCK, **PERCENT}],
)  # fmt: skip
def test_what_is_no_format_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_number_format(value)


CELLS = st.sampled_from(
    ["12 %", "1.234,56 €", "$1,299.00", "5.2 kg", "300 g", "1h 20m", "00:45:10", "12", "-3.5", "x", "NA", "-9 %", "-9"]
) | st.from_regex(r"[-(]?[$€]? ?[0-9]{1,6}([.,][0-9]{1,3})?( ?(%|€|kg|g|h|min))?( [0-9]m)?\)?", fullmatch=True)


@settings(max_examples=examples(150), deadline=None)
@given(
    texts=st.lists(CELLS, min_size=1, max_size=6),
    form=st.sampled_from(FORMATS),
    kind=st.sampled_from(["float64", "float32", "int64"]),
)
def test_files_and_requests_read_the_same_numbers(texts: list[str], form: dict[str, Any], kind: Any) -> None:
    column = Column(name="x", kind=kind, number_format=read_number_format(form), missing_words=("NA", "-9"))
    table = Table(name="rows", columns=(Column(name="k", kind="int64"), column)).with_missing_values()
    found = taken([{"k": at, "x": text} for at, text in enumerate(texts)], table)
    assert [*found.values()] == [found["request"]] * 4
