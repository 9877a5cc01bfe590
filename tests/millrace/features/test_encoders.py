"""What every encoder of the catalogue must do, on every form of feature that it takes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.artefact.batch import CONTENT_TYPE, write_rows
from millrace.contract.kinds import KINDS
from millrace.errors import WorkloadError
from millrace.features import catalogue
from millrace.features.boolean import Boolean
from millrace.features.category import MOST_WORDS, Category
from millrace.features.encoder import Encoder
from millrace.features.number import Number
from millrace.features.signature import TensorKind, TensorSpec
from millrace.features.tensors import ENTRIES, Entries
from millrace.serving.rows import RowReader
from millrace.workload.declaration import FeatureForm
from tests.fuzz import examples
from tests.millrace.features.conftest import CASES, FORMS, Case

QUICK = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def one_by_one(encoder: Encoder, cells: list[object]) -> npt.NDArray[Any]:
    dtype = np.dtype(encoder.spec.dtype)
    return np.array([np.asarray(encoder.encode_one({encoder.name: cell}), dtype) for cell in cells], dtype)


def bits(array: npt.NDArray[Any]) -> bytes:
    """Equal numbers of other bits (-0.0) differ; all NaN are one."""
    kept = np.where(np.isnan(array), np.array(np.nan, array.dtype), array) if array.dtype.kind == "f" else array
    return kept.astype(array.dtype).tobytes()


def is_taken(encoder: Encoder, cell: object) -> bool:
    """Whether `encode_one` takes the cell; ValueError says what was expected, and no other error may come."""
    try:
        encoder.encode_one({encoder.name: cell})
    except ValueError as error:
        said = str(error)
    else:
        return True
    assert said
    return False


@pytest.mark.parametrize("kind", catalogue.ENCODERS)
def test_every_encoder_takes_a_form_of_feature_and_says_which(kind: str) -> None:
    encoder = catalogue.ENCODERS[kind]
    assert encoder.kind == kind
    assert encoder.takes_features
    assert any(case.kind == kind for case in CASES.values()), (
        f"{kind}.declare takes no column of any kind and rule, and no other form of feature"
    )


def test_a_kind_of_column_is_the_default_of_one_encoder() -> None:
    defaults = [kind for encoder in catalogue.ENCODERS.values() for kind in encoder.default_for]
    assert len(set(defaults)) == len(defaults), "two encoders are the default of one kind of column"
    forms = set(get_args(FeatureForm))
    assert forms <= set(defaults) <= {*KINDS, *forms}


@pytest.mark.parametrize("kind", catalogue.ENCODERS)
def test_a_feature_that_names_its_encoder_gets_it_or_an_error(kind: str) -> None:
    for form in FORMS:
        feature = form.feature.model_copy(update={"encoder": kind})
        with suppress(WorkloadError):
            [found] = catalogue.declare([feature], form.table)
            assert type(found) is catalogue.ENCODERS[kind]


@QUICK
@given(data=st.data())
def test_an_encoder_takes_what_keeps_the_contract(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    cells = data.draw(st.lists(case.cells, min_size=1, max_size=12))
    taken = encoder.fit(case.rows(cells)).takes(case.rows(cells))
    assert taken.all(), (
        f"{case.kind} refuses {cells}: name cells that it takes in `examples` of its class, where it is for some only"
    )


@QUICK
@given(data=st.data())
def test_a_row_alone_has_the_bits_that_it_has_among_others(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    cells = data.draw(st.lists(case.cells, min_size=1, max_size=12))
    encoder = encoder.fit(case.rows(data.draw(st.lists(case.cells, min_size=1, max_size=12))))
    together = encoder.encode(case.rows(cells))
    alone = one_by_one(encoder, case.as_json(cells))
    assert (together.dtype, together.shape) == (np.dtype(encoder.spec.dtype), (len(cells), *encoder.spec.shape))
    assert bits(together) == bits(alone)


@QUICK
@given(data=st.data())
def test_a_request_and_the_stream_of_a_shard_give_the_same_bits(
    case: Case, encoder: Encoder, data: st.DataObject
) -> None:
    cells = data.draw(st.lists(case.cells, min_size=1, max_size=12))
    fitted = encoder.fit(case.rows(data.draw(st.lists(case.cells, min_size=1, max_size=12))))
    # What a history's own row brings beside its past.
    beside = dict.fromkeys(set(fitted.inputs) - {"x"})
    rows, table = [beside | {"x": cell} for cell in case.as_json(cells)], case.rows(cells)
    for name in beside:
        table = table.append_column(name, pa.nulls(len(cells)))
    reader = RowReader((fitted,), arrow=True)
    of_json = reader.tensors(reader.read(json.dumps({"rows": rows}).encode(), "application/json").values)
    of_arrow = reader.read(write_rows(table), CONTENT_TYPE)
    assert (of_arrow.rejected, of_arrow.numbers) == ({}, pa.array(range(1, len(rows) + 1)))
    assert of_arrow.tensors is not None
    for name, tensor in of_json.items():
        assert of_arrow.tensors[name].dtype == tensor.dtype
        assert bits(of_arrow.tensors[name]) == bits(tensor)


@QUICK
@given(data=st.data())
def test_an_encoder_comes_back_from_its_document(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    cells = data.draw(st.lists(case.cells, min_size=1, max_size=12))
    fitted = catalogue.fit((encoder,), case.rows(cells))
    again = catalogue.from_documents(json.loads(json.dumps(catalogue.to_documents(fitted))))
    assert again == fitted
    assert bits(again[0].encode(case.rows(cells))) == bits(fitted[0].encode(case.rows(cells)))


@QUICK
@given(data=st.data())
def test_rows_in_many_chunks_are_the_same_rows(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.lists(case.cells, max_size=4), min_size=1, max_size=4))
    whole = case.rows([cell for part in parts for cell in part])
    encoder = encoder.fit(whole)
    chunked = pa.concat_tables([case.rows(part) for part in parts])
    assert bits(encoder.encode(chunked)) == bits(encoder.encode(whole))


@QUICK
@given(data=st.data())
def test_categories_lie_within_their_cardinality(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    encoder = encoder.fit(case.rows(data.draw(st.lists(case.cells, min_size=1, max_size=12))))
    if not encoder.spec.cardinalities:
        assert encoder.spec.dtype != "int64"
        return
    assert None not in encoder.spec.cardinalities
    found = encoder.encode(case.rows(data.draw(st.lists(case.cells, min_size=1, max_size=12))))
    assert found.min() >= 0
    assert (found < np.array(encoder.spec.cardinalities)).all()


@QUICK
@given(data=st.data())
def test_only_a_number_that_may_be_missing_is_nan(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    """Training encodes each row that keeps the contract, also cells that `takes` refuses in serving. A network of which
    an input is NaN, and that does not know it may be, answers NaN."""
    if encoder.spec.name != "numbers":
        return
    cells = data.draw(st.lists(case.form.cells, min_size=1, max_size=12))
    is_nan_F = np.isnan(encoder.fit(case.rows(cells)).encode(case.rows(cells))).any(axis=0)
    assert (is_nan_F <= np.array(encoder.spec.optional)).all(), f"{case.kind} needs `optional` in its spec"


def test_a_missing_cell_is_refused_where_it_is_required(case: Case, encoder: Encoder) -> None:
    assert is_taken(encoder.fit(case.rows([])), None) is not case.form.required


@QUICK
@given(data=st.data())
def test_a_table_is_taken_where_each_row_alone_is(case: Case, encoder: Encoder, data: st.DataObject) -> None:
    cells = data.draw(st.lists(case.form.wilder | case.cells, min_size=1, max_size=12))
    fitted = encoder.fit(case.rows([]))
    assert fitted.takes(case.rows(cells)).tolist() == [is_taken(fitted, cell) for cell in case.as_json(cells)]


@pytest.mark.parametrize("cell", [[], {}, "", "2", 1, 2.5, True, float("nan"), float("inf"), 10**400])
def test_a_cell_of_another_kind_is_taken_or_refused_with_a_reason(case: Case, encoder: Encoder, cell: object) -> None:
    is_taken(encoder.fit(case.rows([])), cell)


@pytest.mark.parametrize("cell", [[], {}, "", "2", 1, 2.5, True, float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize("required", [True, False])
def test_numbers_booleans_and_words_are_not_taken_for_one_another(cell: object, required: bool) -> None:
    is_number = type(cell) in (int, float) and abs(cell) <= 3.4e38  # type: ignore[arg-type, operator]
    assert is_taken(Number(name="x", optional=not required), cell) is is_number
    assert is_taken(Boolean(name="x", optional=not required), cell) is isinstance(cell, bool)
    assert is_taken(Category(name="x", optional=not required, learnt=True), cell) is isinstance(cell, str)
    assert not is_taken(Category(name="x", optional=not required, words=("a",), strict=True), cell)


def test_a_table_of_another_type_is_not_taken(case: Case, encoder: Encoder) -> None:
    fitted = encoder.fit(case.rows([]))
    for other in (pa.array([b"1"], pa.binary()), pa.array([{"a": 1}]), pa.array(["1"], pa.string())):
        if other.type != case.form.arrow:
            assert fitted.takes(pa.table({"x": other})).tolist() == [False]


def test_what_is_watched_are_columns_of_the_summary(case: Case, encoder: Encoder) -> None:
    rows = case.rows([]).append_column("other", pa.array([], pa.int64()))
    assert encoder.summarise(rows).column_names == list(encoder.watched)
    assert set(encoder.columns) <= set(case.form.table.names)


def test_numbers_beyond_float32_become_infinite_in_a_table_as_the_contract_lets_them() -> None:
    """JSON refuses them before; a table holds what the contract let through."""
    assert np.isinf(Number(name="x").encode(pa.table({"x": [1e300]}))).all()


def test_the_rarest_of_too_many_words_count_as_missing() -> None:
    words = [f"w{number:05}" for number in range(MOST_WORDS + 1)]
    rows = pa.table({"c": [*words[1:], *words[1:], words[0]]})
    fitted = Category(name="c", learnt=True).fit(rows)
    assert fitted.words is not None
    assert len(fitted.words) == MOST_WORDS
    assert fitted.encode(rows.slice(len(rows) - 1)).tolist() == [[0]]


@pytest.mark.parametrize("words", [{"learnt": True}, {}, {"strict": True}])
def test_an_unknown_word_is_missing_unless_its_list_is_strict(words: dict[str, bool]) -> None:
    category, rows = Category(name="c", words=("a",), **words), pa.table({"c": ["a", "z"]})
    assert category.takes(rows).tolist() == [True, not category.strict]
    assert category.encode(rows).tolist() == [[1], [0]]
    if not category.strict:
        assert category.encode_one({"c": "z"}) == [0]
        return
    with pytest.raises(ValueError, match='one of \\["a"\\]'):
        category.encode_one({"c": "z"})


ROWS: dict[TensorKind, tuple[TensorSpec, npt.NDArray[Any]]] = {
    "numbers": (
        TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(True, False)),
        np.array([[1, 2], [np.nan, 3], [5, 1e30]], np.float32),
    ),
    "categories": (
        TensorSpec(name="categories", dtype="int64", shape=(2,), cardinalities=(3, 4)),
        np.array([[0, 1], [2, 3], [2, 1]], np.int64),
    ),
    "text": (
        TensorSpec(name="note", dtype="int64", shape=(3,), cardinalities=(9,)),
        np.array([[4, 5, 0], [0, 0, 0], [8, 4, 2]], np.int64),
    ),
    "image": (
        TensorSpec(name="scan", dtype="uint8", shape=(2, 1, 2)),
        np.array([[[[0, 255]], [[9, 9]]], [[[3, 4]], [[5, 6]]], [[[255, 255]], [[0, 0]]]], np.uint8),
    ),
    "history": (
        TensorSpec(name="past", dtype="float32", shape=(2, 2)),
        np.array([[[1, 2], [3, 4]], [[np.nan, 2], [3, np.nan]], [[1, 2], [3, 9]]], np.float32),
    ),
}


def lies(entries: Entries, spec: TensorSpec, rows: npt.NDArray[Any]) -> list[str]:
    """What the kind says that is not so."""
    rng, found = np.random.default_rng(3), []
    flat = entries.flat(rows)
    if flat.ndim != 2 or len(flat) != len(rows):
        found.append("flat is no table")
    distance = entries.distance(lambda: rows)
    apart = np.stack([distance(rows, row) for row in rows])
    if not np.array_equal(np.diag(apart), np.zeros(len(rows))) or not (apart >= 0).all() or not (apart <= 1).all():
        found.append("a row is apart from itself, or by more than 1")
    if not np.allclose(apart, apart.T):
        found.append("two rows are not as far from each other as back")
    emptied = entries.emptied(rows, spec, np.ones(rows.shape, np.bool_))
    if entries.may_be_missing(spec) is np.array_equal(emptied, rows, equal_nan=rows.dtype.kind == "f"):
        found.append("what may be missing is not emptied, or the other way round")
    noisy = entries.noisy(rows, np.ones(rows.shape[1:]) if rows.dtype.kind == "f" else None, 0.5, rng)
    if (entries.mean_axis is None) is not np.array_equal(noisy, rows, equal_nan=rows.dtype.kind == "f"):
        found.append("noise is not on amounts alone")
    if {emptied.dtype, noisy.dtype} != {rows.dtype}:
        found.append("another type")
    if entries.mean_axis is not None:
        means = list(range(rows.shape[entries.mean_axis]))
        placed = np.moveaxis(entries.reference(means, rows), entries.mean_axis, 1)
        if not all((placed[:, at] == mean).all() for at, mean in enumerate(means)):
            found.append("a mean in another column's place")
    return found


@pytest.mark.parametrize("kind", ENTRIES)
def test_what_a_kind_says_of_its_entries_is_so(kind: TensorKind) -> None:
    spec, rows = ROWS[kind]
    assert spec.kind == kind
    assert lies(ENTRIES[kind], spec, rows) == []


def test_every_kind_of_the_signature_is_in_the_catalogue() -> None:
    assert set(ENTRIES) == set(ROWS) == set(get_args(TensorKind))
