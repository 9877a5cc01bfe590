"""Keys that came before, beside a plain dictionary of them."""

# ruff: noqa: DTZ001
from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.deduplicate import SeenKeys, _HashTable
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.validate import Validator
from tests.fuzz import examples

START = datetime(1997, 5, 1)
KINDS: dict[str, tuple[pa.DataType, Any]] = {
    "int64": (pa.int64(), lambda n: (n - 15) * 10**17),
    "int32": (pa.int32(), lambda n: n - 15),
    "timestamp": (pa.timestamp("us"), lambda n: START + timedelta(minutes=n)),
    "timestamp_utc": (pa.timestamp("us", tz="UTC"), lambda n: START + timedelta(minutes=n)),
    "date": (pa.date32(), lambda n: date(1997, 5, 1) + timedelta(days=n)),
    "string": (pa.string(), str),
    "float64": (pa.float64(), float),
}
PARTS = st.lists(st.lists(st.none() | st.integers(0, 30), max_size=12), max_size=6)


def keys_of(kind: str, part: list[int | None]) -> pa.Array:
    arrow, value = KINDS[kind]
    return pa.array([None if n is None else value(n) for n in part], arrow)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(60), deadline=None)
@given(parts=PARTS, refused=st.sets(st.integers(0, 30)))
def test_each_key_is_found_with_the_line_of_the_row_that_was_accepted(
    kind: str, parts: list[list[int | None]], refused: set[int]
) -> None:
    seen, first, line = SeenKeys(), {}, 0
    for part in parts:
        numbers = seen.number(keys_of(kind, part), np.ones(len(part), dtype=bool))
        assert seen.before(numbers) == [(at, first[n]) for at, n in enumerate(part) if n in first]
        # As the validator does it: of rows with new keys the first of each is accepted, or none.
        new = [at for at, n in enumerate(part) if n is not None and n not in {*first, *refused, *part[:at]}]
        first |= {part[at]: line + at for at in new}
        seen.accept(numbers[new], pa.array([line + at for at in new], pa.int64()))
        line += len(part)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(60), deadline=None)
@given(parts=PARTS)
def test_equal_keys_have_the_same_number(kind: str, parts: list[list[int | None]]) -> None:
    seen, number_of = SeenKeys(), {}
    for part in parts:
        good = np.arange(len(part)) % 5 != 3
        numbers = seen.number(keys_of(kind, part), good).tolist()
        for n, is_good, number in zip(part, good, numbers, strict=True):
            assert (number >= 0) == (is_good and n is not None)
            assert number < 0 or number_of.setdefault(n, number) == number
    assert len(set(number_of.values())) == len(number_of)


def test_a_table_of_many_keys_is_that_of_a_dictionary() -> None:
    """More than a block, in parts for which it grows several times, a third of them for the first time."""
    keys = np.random.default_rng(7).permutation(np.arange(150_000) // 3) * 2**33
    table, first = _HashTable(), {}
    found = np.concatenate([table.add(part) for part in np.split(keys, [1, 9, 1000, 90_000])])
    assert found.tolist() == [first.setdefault(key, at) for at, key in enumerate(keys.tolist())]


def test_keys_that_meet_in_one_slot_are_told_apart() -> None:
    """With a factor of 1 all of these keys want the first slot, and the last ones go round the end."""
    table = _HashTable()
    table._factor = np.uint64(1)
    keys = np.concatenate([[-1, -2, -3], np.arange(50)[::-1]])
    assert table.add(keys).tolist() == list(range(53))
    assert table.add(keys[::-1]).tolist() == list(range(53))[::-1]


def test_a_refused_row_keeps_no_key_from_others() -> None:
    """However the rows come in parts: `B,x` is refused for its x, so `B,z` is the first with a B."""
    columns = tuple(Column(name=name, kind="string") for name in ("serial", "mail"))
    table = Table(name="rows", columns=columns, keys=(("serial",), ("mail",)))
    serials, mails = ["A", "B", "B", "C", "B", None, None], ["x", "x", "z", "z", "w", "w", None]
    rows = pa.table({"serial": serials, "mail": mails, LINE: range(2, 9)}, schema=parsed_schema(table))
    for size in (1, 2, 3, 7):
        validator = Validator(table)
        found = [validator.judge(rows.slice(at, size)) for at in range(0, 7, size)]
        accepted = [line for one in found for line in one.accepted[LINE].to_pylist()]
        refused = [(row.line, row.violations[0].column) for one in found for row in one.refused]
        assert accepted == [2, 4, 7, 8], size
        assert refused == [(3, "mail"), (5, "mail"), (6, "serial")], size
