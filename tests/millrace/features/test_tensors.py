"""What every kind of tensor says of its entries, on rows of each."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest

from millrace.features.signature import TensorKind, TensorSpec
from millrace.features.tensors import ENTRIES, CategoryEntries, Entries

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


def test_a_lie_is_noticed() -> None:
    class Amounts(CategoryEntries):
        mean_axis = 1

        def distance(self, sample: Any) -> Any:
            return lambda rows, row: np.ones(len(rows))

        def may_be_missing(self, spec: TensorSpec) -> bool:
            return False

    spec, rows = ROWS["categories"]
    assert lies(Amounts(), spec, rows) == [
        "a row is apart from itself, or by more than 1",
        "what may be missing is not emptied, or the other way round",
        "noise is not on amounts alone",
    ]
