"""Each form of feature that an encoder of the catalogue takes, with cells that keep its contract.

The forms are those of the declaration: a column of each kind, with each rule of the contract, a history, and parts of
a calendar. Every encoder is offered those of its `forms`; a form that changes nothing about the encoder is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from millrace.contract.kinds import KINDS, TIMES, Kind, arrow_type, as_json, parse_cell
from millrace.contract.row import check_row
from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from millrace.features.catalogue import ENCODERS, declared_by
from millrace.features.encoder import Encoder
from millrace.workload.declaration import Feature
from tests.millrace.contract.columns import EDGES, declared, ruled

FLOAT32_MAX = 3.4028234663852886e38
STEPS = 6
"""Numbers of a history of two columns over three hours."""
CELLS: dict[Kind, st.SearchStrategy[object]] = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(-FLOAT32_MAX, FLOAT32_MAX, width=32),
    "float64": st.floats(-FLOAT32_MAX, FLOAT32_MAX),
    "string": st.text(max_size=3),
    "binary": st.binary(max_size=7),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamp_utc": st.datetimes(timezones=st.just(UTC)),
}
"""Of a column without rules."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A feature `x`, the contract's columns that it reads, and cells of `x` that keep the contract."""

    words: str
    feature: Feature
    columns: tuple[Column, ...]
    arrow: pa.DataType
    cells: st.SearchStrategy[object]
    wilder: st.SearchStrategy[object]
    """Cells of the same Arrow type, whatever the contract says of them."""
    required: bool

    @property
    def table(self) -> Table:
        return Table(name="rows", columns=self.columns)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An encoder and a form of feature that it takes."""

    kind: str
    form: Form
    encoder: Encoder
    cells: st.SearchStrategy[object]
    """Cells that the encoder takes."""

    def rows(self, cells: list[object]) -> pa.Table:
        return pa.table({"x": pa.array(cells, self.form.arrow)})

    def as_json(self, cells: list[object]) -> list[object]:
        return list(json.loads(json.dumps([as_json(cell) for cell in cells])))


def _column_forms() -> Iterator[Form]:
    """Plain columns first."""
    for kind in KINDS:
        plain = declared(kind, {})
        for required in (True, False):
            yield _column_form(replace(plain, required=required))
    for _, _, column in ruled():
        for required in (True, False):
            yield _column_form(replace(column, required=required))


def _column_form(plain: Column) -> Form:
    column = replace(plain, name="x")
    cells = CELLS[column.kind]
    if column.rules:
        table = Table(name="rows", columns=(column,))
        good = [parse_cell(value, column.kind) for value in EDGES if not check_row({"x": value}, table)]
        cells = st.sampled_from(good)
    wilder = {"float64": st.floats(), "float32": st.floats(width=32)}.get(column.kind, CELLS[column.kind])
    return Form(
        words=" ".join([column.kind, *(str(rule) for rule in column.rules), *(["optional"] * (not column.required))]),
        feature=Feature(name="x"),
        columns=(column,),
        arrow=arrow_type(column.kind),
        cells=cells if column.required else st.none() | cells,
        wilder=st.none() | cells | wilder,
        required=column.required,
    )


def _history_form() -> Form:
    number = st.none() | st.floats(-FLOAT32_MAX, FLOAT32_MAX, width=32)
    cells = st.lists(number, min_size=STEPS, max_size=STEPS)
    return Form(
        words="history",
        feature=Feature(name="x", history=("a", "b"), hours=3).model_copy(update={"event_time": "at"}),
        columns=(*(Column(name=name, kind="float64") for name in "ab"), Column(name="at", kind="timestamp")),
        arrow=pa.list_(pa.float32(), STEPS),
        cells=cells,
        wilder=st.none() | cells,
        required=True,
    )


def _calendar_forms() -> Iterator[Form]:
    for kind in TIMES:
        plain = _column_form(Column(name="x", kind=kind, required=False))
        feature = Feature(name="x", calendar="x", parts=("month", "hour"))
        yield replace(plain, words=f"calendar of a {kind}", feature=feature)


FORMS = (*_column_forms(), _history_form(), *_calendar_forms())


def _cases() -> Iterator[Case]:
    for kind, encoder in ENCODERS.items():
        known: list[tuple[pa.DataType, Encoder]] = []
        for form in FORMS:
            try:
                found = declared_by(encoder, form.feature, form.table)
            except WorkloadError:
                continue
            if found is None or (form.arrow, found) in known:
                continue
            known.append((form.arrow, found))
            examples = [parse_cell(cell, form.columns[0].kind) for cell in encoder.examples]
            cells = st.sampled_from(examples) if examples else form.cells
            yield Case(kind=kind, form=form, encoder=found, cells=cells)


CASES = {f"{case.kind}, {case.form.words}": case for case in _cases()}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def encoder(case: Case) -> Encoder:
    return case.encoder
