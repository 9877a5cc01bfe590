"""Finds columns that alone give the label away, and test rows that training has seen.

Axes: M training rows, T test rows, C numbers, K categories, P pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.evaluation.gates.leakage import FeatureLeak, Leakage, LeakageEvidence
from millrace.evaluation.measures.case import Case
from millrace.evaluation.simple.matrix import Matrix, matrix
from millrace.features.catalogue import columns, encode, signature
from millrace.tasks.task import Task

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

BINS = 256
"""How many ranges a number is cut into, by the quantiles of the training rows."""
GRID = 100_000.0
"""Two numbers count as equal if they differ by less than about 1 / GRID of their column's spread."""
THUMBNAIL = 16
"""Images are compared as thumbnails of at most this many pixels a side."""
NEAR = 4.0 / 255
"""The largest root mean square distance of two thumbnails of the same image; pixels are from 0 to 1."""
BLOCK = 512
"""The number of test rows whose distances are computed together, to bound the memory."""


def measure(gate: Leakage, case: Case) -> LeakageEvidence:
    """The columns, the one that explains most first, and the share of duplicates.

    Only what the gate has a bar for is searched."""
    leaks = sorted(_leaks(case), key=lambda one: -one.explained) if gate.max_feature is not None else ()
    duplicates = _duplicates(case) if gate.max_duplicates is not None else 0.0
    return LeakageEvidence(features=tuple(leaks), duplicates=duplicates)


def _leaks(case: Case) -> Iterator[FeatureLeak]:
    """How well each column alone predicts the label; images and times are left out."""
    train = case.parts.train
    for name in columns(case.features):
        code = _codes(case.part(train)[name], case.test[name])
        if code is not None:
            explained = _explained(*code, case.target_N[train], case.test_targets, case.task)
            yield FeatureLeak(column=name, explained=explained)


def _codes(train: pa.ChunkedArray, test: pa.ChunkedArray) -> tuple[Integers, Integers] | None:
    """The value of each row as a small whole number, (M) and (T); None for images and times.

    0 stands for a missing number and for a value that no training row has."""
    kind = train.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = [np.array(cells.cast(pa.float64(), safe=False).to_pylist(), np.float64) for cells in (train, test)]
        edges = np.unique(np.nanquantile(numbers[0], np.linspace(0, 1, BINS + 1)[1:-1]))
        found = [np.where(np.isnan(x), 0, np.searchsorted(edges, x) + 1) for x in numbers]
        return found[0], found[1]
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind)):
        return None
    place = {value: at for at, value in enumerate(dict.fromkeys(train.to_pylist()), start=1)}
    train_M, test_T = (
        np.array([place.get(cell, 0) for cell in cells.to_pylist()], np.int64) for cells in (train, test)
    )
    return train_M, test_T


def _explained(code_M: Integers, code_T: Integers, target_M: Array, target_T: Array, task: Task) -> float:
    """The share of the best constant answer's error that the best answer for each value removes.

    The answers are fitted on the training rows and judged on the test rows. For classes the best answer is the most
    frequent class, for numbers the median."""
    best, errs = (_majority, _is_wrong) if task.error_is_share else (np.median, _distance)
    constant = best(target_M)
    answers = np.full(max(int(code_M.max()), int(code_T.max())) + 1, constant, np.float64)
    # Training rows sorted by value, cut where the value changes: one part of the targets for each value.
    order = np.argsort(code_M, kind="stable")
    values, starts = np.unique(code_M[order], return_index=True)
    for value, part in zip(values, np.split(target_M[order], starts[1:]), strict=True):
        answers[value] = best(part)
    before = errs(constant, target_T)
    return 1 - errs(answers[code_T], target_T) / before if before else 0.0


def _majority(target: Array) -> float:
    values, counts = np.unique(target, return_counts=True)
    return float(values[counts.argmax()])


def _is_wrong(answer: Any, target: Array) -> float:
    return float((answer != target).mean())


def _distance(answer: Any, target: Array) -> float:
    return float(np.abs(answer - target).mean())


def _duplicates(case: Case) -> float:
    """The share of the test rows that have a nearly equal training row."""
    # All features but images are compared together, each image by itself. A row with both counts if each part has some
    # equal training row; the search does not ask that it is the same one.
    declared, tensors_M = signature(case.features), encode(case.features, case.part(case.parts.train))
    same_T = np.ones(len(case.errors), np.bool_)
    plain = tuple(spec for spec in declared if spec.kind != "image")
    if plain:
        same_T = _same_rows(matrix(tensors_M, plain), matrix(case.test_tensors, plain))
    for spec in declared:
        if spec.kind == "image":
            same_T &= _near_images(tensors_M[spec.name], case.test_tensors[spec.name])
    return float(same_T.mean())


def _same_rows(train: Matrix, test: Matrix) -> npt.NDArray[np.bool_]:
    """Whether each test row (T) equals some training row, up to rounding.

    Numbers are compared by the cell of a grid. There are two grids, half a step apart: rounding can move a number over
    the edge of a cell in one grid at most."""
    # The spread is from the 1 % to the 99 % quantile, so that a few extreme rows do not make the grid coarse.
    low_C, high_C = (np.nan_to_num(np.nanquantile(train.number_NC, q, axis=0)) for q in (0.01, 0.99))
    scale_C = GRID / np.where(high_C > low_C, high_C - low_C, 1.0)
    same_T = np.zeros(len(test.number_NC), np.bool_)
    for offset in (0.0, 0.5):
        known = set(_keys(train, scale_C, offset))
        same_T |= np.array([key in known for key in _keys(test, scale_C, offset)])
    return same_T


def _keys(one: Matrix, scale_C: Array, offset: float) -> list[bytes]:
    """Each row as bytes that are equal for equal rows: the grid cells of its numbers, its categories and its words."""
    # A missing number has a cell of its own, far from all others.
    cells = [np.nan_to_num(np.floor(one.number_NC * scale_C + offset), nan=-(2.0**40)).astype(np.int64)]
    whole = np.ascontiguousarray(np.concatenate([*cells, one.category_NK, *one.tokens], axis=1))
    return [row.tobytes() for row in whole]


def _near_images(train_M: Array, test_T: Array) -> npt.NDArray[np.bool_]:
    """Whether some training image is nearly equal to each test image (T), for example the same image saved anew."""
    train_MP, test_TP = _thumbnails(train_M), _thumbnails(test_T)
    square_M, near = (train_MP**2).sum(axis=1), []
    for at in range(0, len(test_TP), BLOCK):
        block = test_TP[at : at + BLOCK]
        # |a - b|² = |a|² + |b|² - 2ab: one matrix product for all pairs. Then the nearest training image of each.
        distances = (block**2).sum(axis=1)[:, None] + square_M - 2 * block @ train_MP.T
        near.append(distances.min(axis=1) <= NEAR**2 * block.shape[1])
    return np.concatenate(near)


def _thumbnails(image_N: Array) -> npt.NDArray[np.float32]:
    """Each image as the means of small rectangles of its pixels: (N, P), from 0 to 1."""
    height, width = image_N.shape[-2:]
    rows, columns_ = (np.arange(min(THUMBNAIL, size)) * size // min(THUMBNAIL, size) for size in (height, width))
    # `reduceat` sums from each start up to the next one, first down the rows, then along the columns.
    sums = np.add.reduceat(np.add.reduceat(image_N.astype(np.float32), rows, axis=-2), columns_, axis=-1)
    sizes = np.diff([*rows, height])[:, None] * np.diff([*columns_, width])[None, :]
    found: npt.NDArray[np.float32] = (sums / sizes / 255).reshape(len(image_N), -1).astype(np.float32)
    return found
