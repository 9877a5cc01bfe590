"""One column for each encoder of the catalogue, as a contract declares it, and cells that keep that contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from millrace.contract.kinds import Kind, arrow_type, as_json
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import Column, Table
from millrace.features.encoder import Encoder
from millrace.workload.declaration import Feature

FLOAT32_MAX = 3.4028234663852886e38
STEPS = 6
"""Numbers of a history of two columns over three hours."""
WORDS = ("red", "blue", "grün")


PLAIN = Feature(name="x")
WHEN = Feature(name="x", calendar="x")
TIMES: dict[Kind, st.SearchStrategy[object]] = {
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamp_utc": st.datetimes(timezones=st.just(UTC)),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A column, its encoder's kind, and what may stand in it."""

    kind: str
    column: Column
    cells: st.SearchStrategy[object]
    feature: Feature = PLAIN
    columns: tuple[Column, ...] = ()
    """Of the contract, where the feature's name is none of them."""

    @property
    def table(self) -> Table:
        return Table(name="rows", columns=self.columns or (self.column,))

    def rows(self, cells: list[object]) -> pa.Table:
        kind = pa.list_(pa.float32(), STEPS) if self.columns else arrow_type(self.column.kind)
        return pa.table({self.column.name: pa.array(cells, kind)})

    def as_json(self, cells: list[object]) -> list[object]:
        plain = [as_json(cell) for cell in cells]
        return list(json.loads(json.dumps(plain)))


def _column(kind: str, *, required: bool, allowed: tuple[str, ...] = ()) -> Column:
    rules = (Allowed(allowed),) if allowed else ()
    return Column(name="x", kind=kind, required=required, rules=rules)  # type: ignore[arg-type]


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
        for kind, times in TIMES.items():
            cells["calendar", f"{kind} {how}"] = Column(name="x", kind=kind, required=required), times
        cells["category", f"listed {how}"] = (
            _column("string", required=required, allowed=WORDS),
            st.sampled_from(WORDS),
        )
        cells["category", f"learnt {how}"] = _column("string", required=required), st.text(max_size=3)
    found = {
        f"{kind}, {words}": Case(
            kind=kind,
            column=column,
            cells=cell if column.required else st.none() | cell,
            feature=WHEN if kind == "calendar" else PLAIN,
        )
        for (kind, words), (column, cell) in cells.items()
    }
    raw = Column(name="x", kind="binary", required=True, rules=(ImageFormat(encoding="raw", shape=(1, 2, 3)),))
    number = st.none() | st.floats(-FLOAT32_MAX, FLOAT32_MAX, width=32)
    past = Feature(name="x", history=("a", "b"), hours=3).model_copy(update={"event_time": "at"})
    columns = tuple(Column(name=name, kind="float64") for name in ("a", "b"))
    return found | {
        "image": Case(kind="image", column=raw, cells=st.binary(min_size=6, max_size=6)),
        "history": Case(
            kind="history",
            column=Column(name="x", kind="float32", required=True),
            cells=st.lists(number, min_size=STEPS, max_size=STEPS),
            feature=past,
            columns=(*columns, Column(name="at", kind="timestamp")),
        ),
    }


CASES = _cases()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def declared(case: Case) -> Callable[[], Encoder]:
    """The encoder that the catalogue gives the case's column."""
    from millrace.features import catalogue

    def declare() -> Encoder:
        [encoder] = catalogue.declare([case.feature], case.table)
        return encoder

    return declare
