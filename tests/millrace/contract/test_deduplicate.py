"""Keys that came before, beside a plain dictionary of them."""

# ruff: noqa: DTZ001
from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.deduplicate import Seen, _Run, duplicates, in_order, repeats
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
@given(parts=PARTS)
def test_each_key_is_found_with_the_line_of_the_first(kind: str, parts: list[list[int | None]]) -> None:
    seen, first, line = Seen(), {}, 0
    for part in parts:
        keys = keys_of(kind, part)
        expected = [(at, first[n]) for at, n in enumerate(part) if n in first]
        assert seen.find(keys) == expected
        # As the validator does it: only keys that are new, each once, are kept.
        new = [at for at, n in enumerate(part) if n is not None and n not in first and n not in part[:at]]
        first |= {part[at]: line + at for at in new}
        seen.add(keys.take(pa.array(new, pa.int64())), pa.array([line + at for at in new], pa.int64()))
        line += len(part)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(60), deadline=None)
@given(part=st.lists(st.none() | st.integers(0, 8), max_size=14))
def test_repeats_within_a_part(kind: str, part: list[int | None]) -> None:
    expected = [(at, part.index(n)) for at, n in enumerate(part) if n is not None and n in part[:at]]
    keys = keys_of(kind, part)
    assert repeats(keys, in_order(keys)) == expected


def test_many_parts_stay_few_runs() -> None:
    """Keys in no order: what is kept beside them is merged, so that a search looks at few runs."""
    seen = Seen()
    for part in range(64):
        keys = pa.array([(n * 64 + part) * 7919 % 6_400_003 for n in range(100)])
        seen.add(keys, pa.array(range(part * 100, part * 100 + 100)))
    assert len(seen._runs) <= 8
    wanted = pa.array([63 * 7919 % 6_400_003])
    assert seen.find(wanted) == [(0, 6300)]


def test_keys_with_the_same_half_of_a_hash_are_told_apart() -> None:
    numbers, lines, check = (np.array(each) for each in ([3, 7, 7, 7, 9], [10, 11, 12, 13, 14], [1, 5, 4, 6, 2]))
    run = _Run(numbers, lines, check)
    at, held = run.find(np.array([2, 7, 7, 7, 9, 9]), np.array([1, 6, 8, 4, 3, 2]))
    assert (run.lines[at].tolist(), held.tolist()) == ([13, 12, 14], [1, 3, 5])


def test_ten_times_the_texts_are_searched_in_about_ten_times_the_time() -> None:
    """Every part was searched for in all former ones: 16 times the texts took 60 times as long."""

    def cpu_s(parts: int) -> float:
        seen, start = Seen(), time.process_time()
        for part in range(parts):
            keys = pa.array([f"{n * 7919 % 10_000_019:08}" for n in range(part * 500, part * 500 + 500)])
            assert seen.find(keys) == []
            seen.add(keys, pa.array(range(500)))
        return time.process_time() - start

    cpu_s(2)
    short, long = min(cpu_s(20) for _ in range(3)), cpu_s(320)
    assert long < 40 * short


def test_a_key_of_several_columns_is_said_by_its_columns() -> None:
    rows = pa.table({"machine": ["PRESS-A", "B", "PRESS-A"], "n": [27, 1, 27], "_line": [1, 2, 3]})
    found = duplicates(rows, np.ones(3, dtype=bool), ("machine", "n"), None)
    assert [(at, each.got) for at, each in found.items()] == [(2, "machine='PRESS-A', n=27, first on line 1")]


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
