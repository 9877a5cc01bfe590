"""Whether a version's answers, and where its rows lie in its last layer, are on average as they were on held-out rows.

It works for every kind of input, since it looks at nothing but the model's own numbers, and it needs no label. All
numbers are compared together by Hotelling's T²: of images from another source no single number may have moved far. And
each of the answer is compared alone: if only the mix of classes is another one, one number shows it best.

Axes: N rows, A columns, R directions in which held-out rows vary, D drawn windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from millrace.decisions.columns import OUTPUT, WATCHED

MEAN_SHIFT = "mean_shift"
"""The statistic in a report."""
MOST_CLASSES = 10
"""So many of the most frequent texts of an answer have a column with their share."""
IS = " = "
"""Between the field and the text in the name of such a column: `value = fan`."""
LOOKS = 4
"""A window is judged alone and with those before it: the two looks share half of the declared rate."""
SHARES = (0.25, 0.75)
"""The parts of the rate: of all columns together, and of the columns of the answer alone."""
FEWEST = 10
"""With fewer rows nothing is judged."""
FEWEST_HELD = 30
"""Fewer held-out rows are not compared with."""
SIZES = (10, 20, 40, 80, 160)
"""A mean of few rows has no normal distribution yet. Windows of so many rows are drawn from the held-out ones, to see
how far their means lie."""
WINDOWS, PARTS = 20_000, 40
"""Windows that are drawn of each size, and in how many parts."""
ROWS_PER_DIRECTION = 5
"""Fewer held-out rows than so many for each direction do not tell how they vary."""
LEAST_VARIANCE = 1e-6
"""A direction with less than this share of the largest variance is one in which nothing varies."""


@dataclass(frozen=True, kw_only=True)
class MeanShift:
    """How far the means of some rows lie from those of the held-out rows."""

    value: float
    """T², or the largest square of a standardised move of a column of the answer, whichever is farther above its
    bound."""
    bound: float
    column: str
    """The column that moved most, in its own standard deviations."""


@dataclass(frozen=True, kw_only=True)
class HeldAnswers:
    """The answers of a version to held-out rows, and what was measured of these rows: their means and covariance."""

    columns: tuple[str, ...]
    """Fields of the answer (`confidence`), texts of it (`value = fan`), then measures (`likeness`, `embedding.0`)."""
    answered: int
    """How many of them, the first ones, are of the answer."""
    rows: int
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    rate: float
    """The probability with which a window like the held-out rows exceeds the bound."""
    factors: tuple[tuple[float, float], ...] = ()
    """By how much the bounds grow for windows of SIZES rows: of all columns together, and of each alone."""

    def numbers(self, decisions: pa.Table) -> NDArray[np.float64]:
        """The columns (N, A) of the decisions that have all of them."""
        found_AN = np.array([_numbers(decisions, column) for column in self.columns]).reshape(len(self.columns), -1)
        return np.ascontiguousarray(found_AN[:, ~np.isnan(found_AN).any(axis=0)].T)

    def shift(self, rows_NA: NDArray[np.float64]) -> MeanShift | None:
        """The shift of these rows, with the bound that rows like the held-out ones exceed with the probability `rate`.

        None if there are fewer than FEWEST."""
        if len(rows_NA) < FEWEST:
            return None
        rows = len(rows_NA) * self.rows / (len(rows_NA) + self.rows)
        moved_A = rows_NA.mean(axis=0) - np.array(self.mean)
        apart_A = np.abs(moved_A) / np.sqrt(np.diag(self.covariance))
        together, alone = (float(rows * one[0]) for one in self._squares(moved_A[None]))
        bounds = np.multiply(self._bounds, self._factor(len(rows_NA))).tolist()
        value, bound = max(zip((together, alone), bounds, strict=True), key=lambda one: one[0] / one[1])
        return MeanShift(value=value, bound=bound, column=self.columns[int(apart_A.argmax())])

    def drawn(self, rows_NA: NDArray[np.float64], block_N: NDArray[np.int64]) -> HeldAnswers:
        """The same, with the factors of windows of few rows, drawn from the held-out rows themselves (N, A).

        Rows of a block are drawn together. Where they are alike, the factor of the largest windows is that of all
        larger ones."""
        random = np.random.default_rng(0)
        mean_A = np.array(self.mean)
        found: dict[int, list[NDArray[np.float64]]] = {size: [] for size in SIZES}
        # In parts, so that few of the drawn rows are in memory at once. The first rows of a window are a smaller one.
        for _ in range(PARTS):
            drawn_DNA = rows_NA[_drawn(block_N, WINDOWS // PARTS * SIZES[-1], random).reshape(-1, SIZES[-1])]
            for size in SIZES:
                found[size].append(size * np.stack(self._squares(drawn_DNA[:, :size].mean(axis=1) - mean_A)))

        def factor(values_D: NDArray[np.float64], place: int) -> float:
            return max(1.0, float(np.quantile(values_D, 1 - self.rate * SHARES[place])) / self._bounds[place])

        squares = (np.concatenate(parts, axis=1) for parts in found.values())
        return replace(self, factors=tuple((factor(one[0], 0), factor(one[1], 1)) for one in squares))

    def _squares(self, moved_DA: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each move of the means (D) its square in all directions together, and that of the column of the answer
        that moved most, in standard deviations of one row."""
        covariance_AA = np.array(self.covariance)
        spread_A = np.sqrt(np.diag(covariance_AA))
        values_R, vectors_AR = _directions(covariance_AA)
        standard_DA = moved_DA / spread_A
        return ((standard_DA @ vectors_AR) ** 2 / values_R).sum(axis=1), (standard_DA[:, : self.answered] ** 2).max(
            axis=1, initial=0.0
        )

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        """Of all directions together, and of each column alone: the columns share their part of the rate."""
        directions = len(_directions(np.array(self.covariance))[0])
        return (
            quantile(directions, self.rows, self.rate * SHARES[0]),
            quantile(1, self.rows, self.rate * SHARES[1] / max(self.answered, 1)),
        )

    def _factor(self, rows: int) -> tuple[float, float]:
        """By how much the bounds of so many rows are above those of normal means."""
        return [(1.0, 1.0), *(one for size, one in zip(SIZES, self.factors, strict=False) if size <= rows)][-1]


def held_answers(
    answers: Mapping[str, NDArray[Any]],
    measured: Mapping[str, NDArray[np.float64]],
    block_N: NDArray[np.int64],
    *,
    rate: float,
) -> HeldAnswers | None:
    """What the answers (N) to held-out rows, by field, and the measures of these rows are like.

    Rows of a block, an entity, may be alike. Lists and what never varies are left out. None for too few rows."""
    found = {name: values for field, column in answers.items() for name, values in _columns(field, column)}
    varying = {name: values for name, values in (found | dict(measured)).items() if float(np.std(values)) > 0}
    if not varying:
        return None
    rows_NA = np.stack([*varying.values()], axis=1).astype(np.float64)
    covariance_AA = np.atleast_2d(np.cov(rows_NA.T))
    directions = len(_directions(covariance_AA)[0])
    if len(rows_NA) < max(FEWEST_HELD, ROWS_PER_DIRECTION * directions):
        return None
    made = HeldAnswers(
        columns=tuple(varying),
        answered=len(varying.keys() - measured.keys()),
        rows=len(rows_NA),
        mean=tuple(rows_NA.mean(axis=0).tolist()),
        covariance=tuple(tuple(row) for row in covariance_AA.tolist()),
        rate=rate,
    )
    # Few entities are in every window.
    few = len(np.unique(block_N)) < FEWEST_HELD
    return made.drawn(rows_NA, np.arange(len(rows_NA)) if few else block_N)


def _drawn(block_N: NDArray[np.int64], rows: int, random: np.random.Generator) -> NDArray[np.int64]:
    """The places of so many rows, block after block; blocks are drawn at random."""
    order_N = np.argsort(block_N, kind="stable")
    _, start_E, rows_E = np.unique(block_N[order_N], return_index=True, return_counts=True)
    # Half as many again as are needed on average, and a block more.
    drawn = random.integers(len(rows_E), size=int(1.5 * rows / rows_E.mean()) + 1)
    while rows_E[drawn].sum() < rows:
        drawn = np.concatenate([drawn, drawn])
    before = np.cumsum(rows_E[drawn]) - rows_E[drawn]
    place = np.repeat(start_E[drawn] - before, rows_E[drawn]) + np.arange(rows_E[drawn].sum())
    return np.asarray(order_N[place[:rows]])


def _columns(field: str, values_N: NDArray[Any]) -> list[tuple[str, NDArray[np.float64]]]:
    if values_N.ndim > 1:
        return []
    if values_N.dtype.kind in "fiub":
        return [(field, values_N.astype(np.float64))]
    texts, counts = np.unique(values_N.astype(str), return_counts=True)
    # Of two classes the share of one says all.
    frequent = texts[np.argsort(-counts, kind="stable")][len(texts) == 2 :][:MOST_CLASSES]
    return [(f"{field}{IS}{text}", (values_N.astype(str) == text).astype(np.float64)) for text in frequent.tolist()]


def _numbers(decisions: pa.Table, name: str) -> NDArray[np.float64]:
    """The column of each decision (N); NaN where one has no such number."""
    field, is_text, text = name.partition(IS)
    column = next((each for each in (OUTPUT + field, WATCHED + field) if each in decisions.column_names), None)
    if column is None or pa.types.is_list(decisions.schema.field(column).type):
        return np.full(len(decisions), np.nan)
    values = decisions.column(column)
    if not is_text:
        return np.asarray(pc.cast(values, pa.float64()).to_numpy(), np.float64)
    is_it = pc.fill_null(pc.equal(pc.cast(values, pa.string()), text), text == str(None))
    is_models = pc.is_valid(decisions.column("model_version"))
    return np.where(is_models.to_numpy(), is_it.to_numpy().astype(np.float64), np.nan)


def _directions(covariance_AA: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (R) and directions (A, R) of the standardised columns. Columns that follow from others add none."""
    spread_A = np.sqrt(np.diag(covariance_AA))
    values_A, vectors_AA = np.linalg.eigh(covariance_AA / np.outer(spread_A, spread_A))
    varies_A = values_A > LEAST_VARIANCE * values_A.max()
    return values_A[varies_A], vectors_AA[:, varies_A]


def quantile(directions: int, held: int, rate: float) -> float:
    """The T² that windows exceed with the probability `rate`, if the covariance is that of `held` rows.

    T² is then R (held - 1) / (held - R) times a variable of the distribution F with R and held - R degrees of freedom
    (Hotelling 1931)."""
    from scipy.special import fdtri

    rest = held - directions
    return float(fdtri(directions, rest, 1 - rate) * directions * (held - 1) / rest)
