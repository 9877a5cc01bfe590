"""One column for each encoder of the catalogue, as a contract declares it, and cells that keep that contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from millrace.contract.arrow import arrow_type
from millrace.contract.rules.allowed import Allowed
from millrace.contract.schema import Column, Table
from millrace.features.encoder import Encoder

FLOAT32_MAX = 3.4028234663852886e38
WORDS = ("red", "blue", "grün")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A column, its encoder's kind, and what may stand in it."""

    kind: str
    column: Column
    cells: st.SearchStrategy[object]

    @property
    def table(self) -> Table:
        return Table(name="rows", columns=(self.column,))

    def rows(self, cells: list[object]) -> pa.Table:
        return pa.table({self.column.name: pa.array(cells, arrow_type(self.column.kind))})


def _column(kind: str, *, required: bool, allowed: tuple[str, ...] = ()) -> Column:
    return Column(name="x", kind=kind, required=required, rules=(Allowed(allowed),) if allowed else ())  # type: ignore[arg-type]


def _cases() -> dict[str, Case]:
    cells: dict[tuple[str, str], tuple[Column, st.SearchStrategy[object]]] = {}
    for required in (True, False):
        how = "required" if required else "optional"
        cells["number", f"double {how}"] = (
            _column("float64", required=required),
            st.floats(-FLOAT32_MAX, FLOAT32_MAX),
        )
        cells["number", f"integer {how}"] = (_column("int64", required=required), st.integers(-(2**63), 2**63 - 1))
        cells["number", f"float {how}"] = (
            _column("float32", required=required),
            st.floats(-FLOAT32_MAX, FLOAT32_MAX, width=32),
        )
        cells["boolean", how] = _column("boolean", required=required), st.booleans()
        cells["category", f"listed {how}"] = (
            _column("string", required=required, allowed=WORDS),
            st.sampled_from(WORDS),
        )
        cells["category", f"learnt {how}"] = _column("string", required=required), st.text(max_size=3)
    return {
        f"{kind}, {words}": Case(kind=kind, column=column, cells=found if column.required else st.none() | found)
        for (kind, words), (column, found) in cells.items()
    }


CASES = _cases()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def declared(case: Case) -> Callable[[], Encoder]:
    """The encoder that the catalogue gives the case's column."""
    from millrace.features import catalogue
    from millrace.workload.declaration import Feature

    def declare() -> Encoder:
        [encoder] = catalogue.declare([Feature(name=case.column.name)], case.table)
        return encoder

    return declare
