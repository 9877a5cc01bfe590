"""A cell has one verdict and one value, whatever its format and its neighbours."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.kinds import Kind, to_float
from millrace.contract.schema import Column, Table
from millrace.files.cast import UNITS, _misfits, _outside
from tests.fuzz import examples
from tests.millrace.files.conftest import as_parquet, parse


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(
    "text",
    [
        "3.4028235677973366e38",
        "1.000000059604644775390626",
        "16777217",
        "9007199254740993",
        "1152921504606846976",
        "-5",
    ],
)
def test_a_number_is_the_same_in_every_format(text: str, kind: Kind) -> None:
    table = Table(name="rows", columns=(Column(name="x", kind=kind),))
    value = float(text) if "." in text else int(text)
    drops = [f"x\n{text}\n".encode(), f'{{"x": {text}}}\n'.encode(), as_parquet([{"x": value}])]
    found = [parse(drop, table).rows["x"].to_pylist() for drop in drops]
    assert found == [[to_float(value, kind)]] * 3


WHOLE = ["int8", "uint8", "int32", "uint32", "int64", "uint64"]


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_what_cannot_be_cast_is_found_by_comparing_as_by_searching(data: st.DataObject) -> None:
    """For all pairs of types that `_outside` knows."""
    kind = data.draw(st.sampled_from([*WHOLE, "float32", "float64", "s", "ms", "us", "ns"]))
    if kind in UNITS:
        wanted = pa.timestamp(data.draw(st.sampled_from(list(UNITS))))
        came, cell = pa.timestamp(kind), st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**6), 10**6)
    else:
        wanted = getattr(pa, data.draw(st.sampled_from(["int32", "int64"])))()
        came = getattr(pa, kind)()
        if kind.startswith("float"):
            width = int(kind[5:])
            edges = [2.0**31, 2.0**31 - 1, 2.0**63, -(2.0**63), 2.0**53, -0.0, 0.5, math.nan, math.inf]
            cell = st.floats(width=width) | st.sampled_from([float(np.dtype(kind).type(one)) for one in edges])
        else:
            limits = np.iinfo(kind)
            cell = st.integers(int(limits.min), int(limits.max))
    cells = pa.array(data.draw(st.lists(st.none() | cell, max_size=12)), came)
    outside = _outside(cells, wanted)
    assert outside is not None
    found = [at for at, is_outside in enumerate(outside.to_pylist()) if is_outside]
    try:
        cells.cast(wanted)
        searched = []
    except pa.ArrowInvalid:
        searched = _misfits(cells, wanted, 0)
    assert found == searched
