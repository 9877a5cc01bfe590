"""What random rows hide is measured: an entity by one column or two, and an order of the rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.hidden import find_entity, find_order
from tests.entities import NAME, OTHER, SHAPES, made_up
from tests.millrace.evaluation.gates.test_catalogue import DECLARED, report

ROWS = 1600


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("planted", [True, False])
def test_a_planted_entity_is_found_and_no_other(seed: int, planted: bool) -> None:
    """Sixty such tables are the benchmark `entities`."""
    rows, label = made_up(seed, planted=planted)
    inputs = [name for name in rows.column_names if name != NAME]
    found = find_entity(rows, label, inputs=inputs, candidates=rows.column_names, is_in_time=False)
    assert (found.columns if found else ()) == ((NAME,) if planted else ())


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_an_entity_is_found_however_it_is_named(shape: str) -> None:
    rows, label = made_up(1, planted=True, shape=shape)
    inputs = [name for name in rows.column_names if name != NAME]
    found = find_entity(rows, label, inputs=inputs, candidates=rows.column_names, is_in_time=False)
    assert found is not None
    assert {*found.columns} <= {NAME, OTHER}
    assert found.pieces == {"the beginning of a code": 1, "a folder of a path": 2}.get(shape, 0)


def patients(*, in_time: bool = False) -> tuple[pa.Table, np.ndarray]:
    """A clinic's number and a patient's number in it name a patient; `in_time` all rows of one are neighbours."""
    random, patient = np.random.default_rng(0), np.repeat(np.arange(160), 10)
    order = np.arange(ROWS) if in_time else random.permutation(ROWS)
    readings = random.normal(0, 1, (160, 4))[patient] + random.normal(0, 0.1, (ROWS, 4))
    columns = {"clinic": [f"c{one}" for one in patient // 20], "number": patient % 20}
    table = pa.table(columns | {f"r{place}": readings[:, place] for place in range(4)} | {"name": patient * 7})
    return table.take(pa.array(order)), random.integers(0, 2, 160)[patient][order]


@pytest.mark.parametrize(
    ("names", "in_time", "expected"),
    [
        (["clinic", "number"], False, ("clinic", "number")),
        (["clinic", "number", "name"], False, ("name",)),
        (["name"], True, ()),
    ],
    ids=["by two columns", "by one if there is one", "not where later rows are of others anyway"],
)
def test_an_entity_is_named_by_the_fewest_columns(names: list[str], in_time: bool, expected: tuple[str, ...]) -> None:
    rows, label = patients(in_time=in_time)
    inputs = [f"r{place}" for place in range(4)]
    found = find_entity(rows, label, inputs=inputs, candidates=names, is_in_time=in_time)
    assert (found.columns if found else ()) == expected


@pytest.mark.parametrize("is_in_order", [True, False])
def test_neighbours_that_are_alike_are_an_order(is_in_order: bool) -> None:
    random = np.random.default_rng(0)
    level = np.cumsum(random.normal(0, 1, ROWS))
    rows = pa.table({"a": level + random.normal(0, 0.3, ROWS), "b": np.cumsum(random.normal(0, 1, ROWS))})
    label = np.cumsum(random.normal(0, 1, ROWS))
    order = np.arange(ROWS) if is_in_order else random.permutation(ROWS)
    found = find_order(rows.take(pa.array(order)), label[order], inputs=["a", "b"])
    assert (found is not None) is is_in_order


def test_an_entity_on_both_sides_is_a_warning_that_names_the_split() -> None:
    rows, label = made_up(0, planted=True)
    found = find_entity(rows, label, inputs=rows.column_names[1:], candidates=[NAME], is_in_time=False)
    assert found is not None
    plain = judge_all(report(), DECLARED, against="baseline")
    *others, last = judge_all(report(changes={"entity": found.model_dump()}), DECLARED, against="baseline")
    assert tuple(others) == plain
    assert (last.name, last.passed, last.is_warning, last.measured) == ("split", True, True, found.apart)
    assert "{by: group, column: subject}" in last.sentence
