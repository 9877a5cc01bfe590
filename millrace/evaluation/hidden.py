"""Measures what a split by single rows hides: rows about one patient, machine or state, or neighbours in an order.

A probe is judged twice on the same rows: with folds of random rows, and with folds that never divide a group. If its
loss rises by more than chance, the rows of a group are alike, and a model that saw some of them knows the others.

Axes: N rows, C inputs, G groups, K classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.datasets.names import with_names
from millrace.evaluation.evidence import HiddenGroups

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_ROWS, FOLDS = 3_000, 3
FEWEST_VALUES, FEWEST_ROWS, MOST_DIFFERENT, MOST_EMPTY = 15, 1.5, 0.7, 0.5
"""An entity has so many values at least, and so many rows of each; at most these shares of the cells differ, are empty.
"""
LARGEST, MOST_UNEVEN, MOST_OF_MEAN = 0.1, 1.0, 2
"""The largest share of the rows that one number has, and the largest coefficient of variation of the groups' sizes.

Amounts, counts and columns that are mostly zero go beyond them; without these bounds they look like entities. Texts do
so less: of one with more rows than twice the mean only so many are judged."""
FINE, MOST_PIECES = 3, 4
"""Most fractions that name a place have more digits, as rounded amounts repeat too. Texts that differ in each row, such
as S00123-04, may name an entity by their first piece, or by up to 4."""
DEVIATIONS, RISE = 4.0, 0.1
"""Rows of a group are alike if the loss rises by more than 4 standard errors and by more than a tenth."""
FEWEST_TEXTS, RISE_OF_FEW, ALIKE_OF_FEW = 6, 1.0, 0.8
"""The same for 6 to 14 texts, whose labels are so alike: a group of few may be a feature like any other."""
DEVIATIONS_OF_TWO, RISE_OF_TWO = 6.0, 0.25
"""The same for a group that two columns name: there are many pairs, and two features may look like a name."""
MORE_ALIKE, AS_HARSH = 1.5, 0.5
"""Rows that two columns name are so many times as alike as those of one; a loss of half another is near it."""
MOST_PROBED, MOST_PAIRED, MOST_INPUTS = 4, 8, 40
"""The most groups that the probe is tried on, columns that are tried in pairs, and columns that the probe reads."""
FEWEST_DRAWN = 60
"""About as many groups are drawn at least, or all."""
NEIGHBOURS, FEWEST_NEIGHBOURS, BLOCKS = 50, 10, 40
"""Rows of a block of neighbours, at most and at least; so many blocks or more, if the rows allow it."""
MOST_CLASSES = 8
"""The most frequent classes that the probe tells apart; all others are one."""
WINSORISED = 0.01
"""Share of the labels at each end that count as the next nearer one: errors are squared."""


def find_entity(
    rows: pa.Table, target_N: npt.NDArray[Any], *, inputs: Sequence[str], candidates: Sequence[str], is_in_time: bool
) -> HiddenGroups | None:
    """The entity whose rows are most alike: one of the `candidates`, or two of them together; None if there is none.

    `inputs` are the columns that a model reads. With `is_in_time`, rows are in the order of time, and an entity is
    found only if later rows are easier to tell than those of another one: a split by time hides it."""
    codes = {(name, pieces): code for name in candidates for pieces, code in _codes(rows.select([name]))}
    texts = {name for name in rows.column_names if _is_text(rows[name].type)}
    probe = _Probe(rows, target_N, inputs)
    found: list[tuple[float, HiddenGroups]] = []
    pairable = [one for one in codes if not one[1] and not pa.types.is_floating(rows[one[0]].type)][:MOST_PAIRED]
    for named in ([(one,) for one in codes], combinations(pairable, 2)):
        # Two columns count if they name what is more alike: a patient, where patients of several clinics share numbers.
        least = MORE_ALIKE * max((alike for alike, _ in found), default=0.0)
        grouped = [(one, _together([codes[each] for each in one], are_texts=texts >= {*dict(one)})) for one in named]
        fit = [(_alikeness(probe.label_NK, group_N), one, group_N) for one, group_N in grouped if group_N is not None]
        fit.sort(key=lambda each: -each[0])
        for alike, one, group_N in fit[:MOST_PROBED]:
            is_fit = alike > least and (group_N.max() >= FEWEST_VALUES - 1 or alike >= ALIKE_OF_FEW)
            hidden = probe.measure(group_N, tuple(dict(one)), is_in_time=is_in_time) if is_fit else None
            found += [(alike, hidden.model_copy(update={"pieces": one[0][1]}))] if hidden and _is_found(hidden) else []
    # The harshest division; of those near it the one whose rows are most alike, as it names what they are about.
    harshest = max((hidden.apart for _, hidden in found), default=0.0)
    near = [(alike, hidden) for alike, hidden in found if hidden.apart >= AS_HARSH * harshest]
    return max(near, key=lambda each: each[0])[1] if near else None


def find_order(rows: pa.Table, target_N: npt.NDArray[Any], *, inputs: Sequence[str]) -> HiddenGroups | None:
    """What neighbouring rows have in common; None if it is not more than what any rows have."""
    block_N = np.arange(rows.num_rows) // min(NEIGHBOURS, max(FEWEST_NEIGHBOURS, rows.num_rows // BLOCKS))
    found = _Probe(rows, target_N, inputs).measure(block_N, ())
    return found if found and _is_found(found) else None


def _is_found(found: HiddenGroups) -> bool:
    deviations, rise = (DEVIATIONS_OF_TWO, RISE_OF_TWO) if len(found.columns) > 1 else (DEVIATIONS, RISE)
    rise = RISE_OF_FEW if found.columns and found.groups < FEWEST_VALUES else rise
    return found.deviations > deviations and found.apart > (1 + rise) * found.random


class _Probe:
    """Boosted trees on columns of a table."""

    def __init__(self, rows: pa.Table, target_N: npt.NDArray[Any], inputs: Sequence[str]) -> None:
        target_N = target_N[:, -1] if target_N.ndim == 2 else target_N
        self.is_class = target_N.dtype == np.int64 or set(np.unique(target_N[:1000]).tolist()) <= {0.0, 1.0}
        # Only rows that are drawn become numbers: an evaluation may have millions of them.
        self.rows, self.names = rows, [name for name in inputs if _is_read(rows[name].type)][:MOST_INPUTS]
        if self.is_class:
            values, counts = np.unique(target_N, return_counts=True)
            usual = values[np.argsort(-counts, kind="stable")[:MOST_CLASSES]]
            place_N = np.where(np.isin(target_N, usual), np.searchsorted(np.sort(usual), target_N), len(usual))
            self.target_N = np.unique(place_N, return_inverse=True)[1].astype(np.float64)
            self.label_NK = np.eye(int(self.target_N.max()) + 1)[self.target_N.astype(np.int64)]
        else:
            low, high = np.quantile(target_N, [WINSORISED, 1 - WINSORISED])
            spread = float(np.clip(target_N, low, high).std()) or 1.0
            self.target_N = (np.clip(target_N, low, high).astype(np.float64) - target_N.mean()) / spread
            self.label_NK = self.target_N[:, None]

    def measure(self, group_N: Integers, columns: tuple[str, ...], *, is_in_time: bool = False) -> HiddenGroups | None:
        """The loss on random rows and on whole groups; None without inputs, if the groups are not to be divided, or if
        later rows are as hard to tell."""
        kept = [name for name in self.names if name not in columns]
        if not kept:
            return None
        known = np.flatnonzero(group_N >= 0)
        chosen = known[_whole_groups(group_N[known])]
        taken = self.rows.select(kept).take(pa.array(chosen))
        input_MC = np.column_stack([_numbers(taken[name]) for name in kept])
        once = _once(np.column_stack([input_MC, self.target_N[chosen], group_N[chosen]]))
        chosen, input_MC = chosen[once], input_MC[once]
        group_M, target_M = np.unique(group_N[chosen], return_inverse=True)[1], self.target_N[chosen]
        loss = partial(_losses, input_MC, target_M, is_class=self.is_class)
        random = np.random.default_rng(0)
        random_M = loss(random.permutation(len(chosen)) % FOLDS)
        rows_G = np.bincount(group_M)
        order_G = random.permutation(len(rows_G))
        fold_G = np.empty(len(rows_G), np.int64)
        fold_G[order_G] = (np.cumsum(rows_G[order_G]) - 1) * FOLDS // len(chosen)
        if len(np.unique(fold_G)) < FOLDS:
            return None  # one group has most of the rows
        apart_M = loss(fold_G[group_M])
        if columns and len(rows_G) < FEWEST_VALUES:
            # Half of few entities may be told right by chance: their rows are judged as if each were alone.
            group_M, rows_G = np.arange(len(chosen)), np.ones(len(chosen), np.int64)
        rise_G = np.bincount(group_M, weights=apart_M - random_M)
        found = HiddenGroups(
            columns=columns,
            groups=int(group_N.max()) + 1,
            random=float(random_M.mean()),
            apart=float(apart_M.mean()),
            deviations=_deviations(rise_G, rows_G),
            is_class=self.is_class,
        )
        # The harsher division counts: where later thirds of the rows are as hard, a split by time hides nothing.
        if (
            _is_found(found)
            and is_in_time
            and loss(np.arange(len(chosen)) * FOLDS // len(chosen)).mean() >= found.apart
        ):
            return None
        return found


def _deviations(rise_G: npt.NDArray[Any], rows_G: Integers) -> float:
    """By how many standard errors the loss rises: as a mean, or as signed ranks (Wilcoxon 1945), whichever is more.

    Squared errors of a few groups may outweigh all others, and the mean's error with them."""
    away_G = rise_G - rise_G.sum() / rows_G.sum() * rows_G
    rank_G = abs(rise_G / rows_G).argsort().argsort() + 1.0
    signed = (np.sign(rise_G) * rank_G).sum() / np.sqrt((rank_G**2).sum())
    return float(max(rise_G.sum() / (np.sqrt((away_G**2).sum()) or np.inf), signed))


def _losses(input_MC: Floats, target_M: Floats, fold_M: Integers, *, is_class: bool) -> Floats:
    """The loss of each row by trees that were fitted on the other folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    settings: dict[str, Any] = {"max_iter": 40, "learning_rate": 0.2, "min_samples_leaf": 4, "early_stopping": False}
    found_M = np.zeros(len(target_M))
    with threadpool_limits(limits=1):
        for fold in range(FOLDS):
            held = fold_M == fold
            # Scikit-learn takes no column of which no cell is known.
            known_MC = input_MC[:, ~np.isnan(input_MC[~held]).all(axis=0)]
            if not is_class:
                trees = HistGradientBoostingRegressor(**settings).fit(known_MC[~held], target_M[~held])
                found_M[held] = (trees.predict(known_MC[held]) - target_M[held]) ** 2
                continue
            # A class that the other folds lack has no probability.
            known = np.unique(target_M[~held])
            if len(known) < 2:
                found_M[held] = np.where(target_M[held] == known[0], 0.0, -np.log(LEAST))
                continue
            trees = HistGradientBoostingClassifier(**settings).fit(known_MC[~held], target_M[~held])
            of_true = (trees.predict_proba(known_MC[held]) * (known == target_M[held][:, None])).sum(axis=1)
            found_M[held] = -np.log(np.clip(of_true, LEAST, None))
    return found_M


LEAST = 1e-3
"""No class has a smaller probability: one row that is certainly wrong shall not decide."""


def _whole_groups(group_N: Integers) -> Integers:
    """The rows of whole groups, drawn by chance, that are about MOST_ROWS; in their order.

    If groups are so large that they were few, rows of all of them are drawn."""
    if len(group_N) <= MOST_ROWS:
        return np.arange(len(group_N))
    rows_G, random = np.bincount(group_N), np.random.default_rng(0)
    if len(group_N) > len(rows_G) * MOST_ROWS / FEWEST_DRAWN:
        return np.sort(random.permutation(len(group_N))[:MOST_ROWS])
    order_G = random.permutation(len(rows_G))
    drawn = order_G[np.cumsum(rows_G[order_G]) <= MOST_ROWS]
    return np.flatnonzero(np.isin(group_N, drawn))


def _once(row_MC: Floats) -> Integers:
    """The first of equal rows, in order; all of them if most are equal, as of an entity that never changes.

    A row that was written twice is alike by itself, by whatever columns rows are divided."""
    first = np.sort(np.unique(np.nan_to_num(row_MC), axis=0, return_index=True)[1])
    return first if 2 * len(first) > len(row_MC) else np.arange(len(row_MC))


def _alikeness(label_NK: Floats, group_N: Integers) -> float:
    """The correlation of two labels of one group, 1 if they are equal; 0 if it is chance.

    A pair of independent rows has the mean 0 and the variance |covariance|², and pairs are uncorrelated, also those
    that share a row. So the sum over all pairs of a group is told from chance without drawing."""
    label_NK, group_N = label_NK[group_N >= 0], group_N[group_N >= 0]
    away_NK = label_NK - label_NK.mean(axis=0)
    covariance_KK = away_NK.T @ away_NK / len(away_NK)
    sum_GK = np.stack([np.bincount(group_N, weights=away_N) for away_N in away_NK.T], axis=1)
    rows_G = np.bincount(group_N)
    pairs = float((rows_G * (rows_G - 1)).sum()) / 2
    alike = float((sum_GK**2).sum() - (away_NK**2).sum()) / 2
    usual = float(np.sqrt(pairs * (covariance_KK**2).sum()))
    if not usual or alike <= DEVIATIONS * usual:
        return 0.0
    return alike / pairs / float(np.trace(covariance_KK))


def _together(codes: Sequence[Integers], *, are_texts: bool) -> Integers | None:
    """One number from 0 on for each different row of the codes, -1 where a code is; None if they can name no entity.

    Of texts that have many rows some are left out: see MOST_OF_MEAN."""
    found = codes[0]
    for code in codes[1:]:
        both = np.unique(found * (int(code.max()) + 1) + code, return_inverse=True)[1]
        found = np.where((found < 0) | (code < 0), -1, both)
    named = np.flatnonzero(found >= 0)
    group_M = np.unique(found[named], return_inverse=True)[1].astype(np.int64)
    if are_texts:
        order_M = np.random.default_rng(0).permutation(len(named))
        order_M = order_M[np.argsort(group_M[order_M], kind="stable")]
        place_M = np.arange(len(named)) - np.searchsorted(group_M[order_M], group_M[order_M])
        kept = order_M[place_M < MOST_OF_MEAN * len(named) / (group_M.max() + 1)]
        named, group_M = named[kept], group_M[kept]
    rows_G, rows = np.bincount(group_M), len(named)
    if (
        not (FEWEST_TEXTS if are_texts else FEWEST_VALUES) <= len(rows_G) <= min(1 / FEWEST_ROWS, MOST_DIFFERENT) * rows
        or (rows_G.max() > LARGEST * rows and not are_texts)
        or rows_G.std() > MOST_UNEVEN * rows_G.mean()
    ):
        return None
    group_N = np.full(len(found), -1)
    group_N[named] = group_M
    return group_N


def _codes(cells: pa.Table) -> Iterator[tuple[int, Integers]]:
    """A number for each different cell of a column, -1 for a missing one; beside it how many first pieces it is of.

    Nothing for many missing cells, for too many values, for fractions that are amounts, or for other types."""
    [name], rows, kind = cells.column_names, cells.num_rows, cells[0].type
    if pa.types.is_floating(kind):
        number_N = np.asarray(cells[0].drop_null())
        is_fine = (abs(number_N - number_N.round(FINE)) > 10.0 ** -(FINE + 3)).mean() > MOST_EMPTY
        if not np.isfinite(number_N).all() or not (is_fine or (number_N == number_N.round()).all()):
            return
    elif not (pa.types.is_integer(kind) or _is_text(kind)):
        return
    for pieces in range(MOST_PIECES + 1 if _is_text(kind) else 1):
        encoded = with_names(cells, [name], pieces)[0].combine_chunks().dictionary_encode()
        differ = len(encoded.dictionary) > MOST_DIFFERENT * (rows - encoded.null_count)
        if encoded.null_count <= MOST_EMPTY * rows and len(encoded.dictionary) > 1 and not differ:
            yield pieces, np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        # Only a text that tells rows apart has pieces that may name what they are about.
        if not pieces and not differ:
            return


def _is_read(kind: pa.DataType) -> bool:
    """Whether the probe reads a column of this type: not times, images and lists."""
    return _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(cells: pa.ChunkedArray) -> Floats:
    """The column as the probe reads it, texts by their places in the alphabet; NaN for a missing cell."""
    whole = cells.combine_chunks()
    if _is_text(whole.type):
        # Not by their first rows: those would tell a row's place, and so its neighbours.
        words = whole.drop_null().unique()
        whole = pc.index_in(whole, value_set=words.take(pc.array_sort_indices(words)), skip_nulls=True)
    if pa.types.is_boolean(whole.type):
        whole = whole.cast(pa.int8())
    found = np.array(whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    return np.where(np.isfinite(found), found, np.nan)
