"""Judges the error of windows by the labels that are known, and chooses the rows whose labels people are asked for.

Axes: N rows of a window that a model answered, the first decision about each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from millrace.decisions.columns import objects
from millrace.decisions.floor import DAY, EPOCH
from millrace.decisions.outcome_columns import Outcomes
from millrace.decisions.policy import SHADOWED
from millrace.messages.asked_labels import INPUT_BYTES, LabelAsked, LabelWanted
from millrace.messages.feedback import OverrideReport
from millrace.messages.monitor import ErrorReport, SliceError, Window
from millrace.monitoring.error import ErrorBound
from millrace.monitoring.expected_error import ErrorModel
from millrace.monitoring.live_error import (
    FEWEST,
    STRETCHES,
    LiveError,
    beyond,
    choose,
    live_error,
    recalibrate,
)
from millrace.tasks.answer import CONFIDENCE
from millrace.timestamps import micros

Floats = NDArray[np.float64]

ENOUGH = 0.9
"""With this share of a window's labels, or of those that were asked for, later runs need not look at it again."""
FEWEST_OF_SLICE = 10
"""A slice with fewer labels is left out."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The rows of one window that models answered."""

    window: Window
    outcomes: Outcomes
    champion: str
    """The live version. What another one answered counts as a row without a label."""
    is_share: bool
    """Whether an error is a share of answers."""
    is_in_time: bool
    """Whether rows that are near in time may be alike."""
    error_model: ErrorModel | None = None
    """What the errors of the champion's held-out answers depend on; None if its answers say how sure they are."""

    # Each of the arrays has a cell for each outcome (N).
    @cached_property
    def own(self) -> NDArray[np.bool_]:
        """Whether the champion answered."""
        return self.outcomes.says("model_version", self.champion)

    @cached_property
    def errors(self) -> Floats:
        """NaN without a label of the champion's answer."""
        return np.where(self.own, self.outcomes.errors, np.nan)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether the label of the champion's answer has come."""
        return np.isfinite(self.errors)

    @cached_property
    def expects(self) -> bool:
        """Whether an error is expected of each of the champion's answers before labels come."""
        if self.error_model:
            return bool(self.own.any())
        says_n = self.outcomes.answers(CONFIDENCE)[self.own]
        return self.is_share and len(says_n) > 0 and not np.isnan(says_n).any()

    @cached_property
    def expected(self) -> Floats:
        """The error that is expected, by the champion's own confidence or by its held-out rows; 0 if none is."""
        if not self.expects:
            return np.zeros(len(self.outcomes))
        own = self.outcomes.take(self.own)
        own_n = self.error_model.expected(own.cells) if self.error_model else 1 - own.answers(CONFIDENCE)
        found_N = np.full(len(self.outcomes), own_n.mean())
        found_N[self.own] = own_n
        return found_N

    @cached_property
    def expected_interval(self) -> tuple[float, float] | None:
        """What holds the mean of all errors, as far as nothing but the rows has changed; none without a model of it."""
        if not self.expects or self.error_model is None:
            return None
        return self.error_model.interval(self.expected)

    @cached_property
    def chances(self) -> Floats | None:
        """The chance with which each row was chosen, 0 for one that was not; None if no labels were asked for."""
        if (asked := self.window.asked) is None:
            return None
        ids = self.outcomes.column("id").to_pylist()
        return np.array([asked.chances.get(name, 0.0) for name in ids], np.float64)

    @cached_property
    def weights(self) -> Floats:
        """How many rows each stands for: 1 / chance, 0 for one that was not chosen."""
        if self.chances is None:
            return np.ones(len(self.outcomes))
        return np.divide(1.0, self.chances, out=np.zeros(len(self.outcomes)), where=self.chances > 0)

    @cached_property
    def stretches(self) -> NDArray[np.int64]:
        if not self.is_in_time:
            return np.arange(len(self.outcomes))
        start, whole = micros(self.window.start), micros(self.window.end) - micros(self.window.start)
        return (self.outcomes.times - start) * STRETCHES // whole

    @cached_property
    def labelled(self) -> int:
        return int(self.outcomes.known.sum())

    def is_settled(self, as_of: datetime) -> bool:
        """Whether no later run need look again. A window without decisions has nothing to wait for."""
        if self.labelled >= ENOUGH * len(self.outcomes):
            return True
        if (asked := self.window.asked) is None or self.chances is None:
            return False
        came = int((self.outcomes.known & (self.chances > 0)).sum())
        return came >= ENOUGH * len(asked.chances) or as_of >= asked.until

    @cached_property
    def error(self) -> LiveError | None:
        return self.error_of(np.ones(len(self.outcomes), bool))

    def error_of(self, part_N: NDArray[np.bool_]) -> LiveError | None:
        """The champion's mean error on a part of the rows; None if too few of them have a label."""
        return live_error(
            self.errors[part_N],
            self.expected[part_N],
            None if self.chances is None else self.chances[part_N],
            self.stretches[part_N],
            is_share=self.is_share,
        )

    @cached_property
    def is_contradicted(self) -> bool:
        """Whether labels have come that contradict what the champion expects."""
        return abs(self._beyond(self.errors, self.expected, self.chances, self.stretches) or 0.0) > 1

    @property
    def overrides(self) -> OverrideReport | None:
        """The error where the model or the policy asked for a person: rows that were chosen, so only these count.

        Rows that waited for another reason, held out or in a pause, are like all others."""
        reviewed_N = self.known & np.isin(self.outcomes.column("reason").to_numpy(), SHADOWED)
        error_n, expected_n, stretch_n = self.errors[reviewed_N], self.expected[reviewed_N], self.stretches[reviewed_N]
        # Errors that happen to be alike show no spread: that of coins, as the model expects them, is the least.
        least = float(expected_n @ (1 - expected_n)) / max(len(error_n), 1) ** 2 if self.is_share else 0.0
        ratio = self._beyond(error_n, expected_n, None, stretch_n, least=least)
        if ratio is None:
            return None
        error, expected = float(error_n.mean()), float(expected_n.mean())
        return OverrideReport(reviewed=len(error_n), error=error, expected=expected, ratio=ratio)

    def _beyond(self, *of_rows: Any, least: float = 0.0) -> float | None:
        """As `live_error.beyond` of these rows; None if nothing is expected of the champion."""
        between = self.error_model.between if self.error_model else 0.0
        return beyond(*of_rows, between=between, least=least) if self.expects else None

    @cached_property
    def _inputs(self) -> Mapping[str, Sequence[object]]:
        """The cells of the inputs by column."""
        texts = self.outcomes.column("input")
        try:
            found = objects(texts, None)
        except pa.ArrowInvalid:  # a column with cells of several kinds
            rows = [json.loads(text) for text in texts.to_pylist()]
            return {name: [row.get(name) for row in rows] for name in {name: 0 for row in rows for name in row}}
        return {name: found.column(name).to_pylist() for name in found.column_names}

    def parts_of(self, column: str) -> Mapping[str, NDArray[np.bool_]]:
        """The rows of each value of a column; numbers with many values are cut into quarters."""
        return parts(self._inputs.get(column) or [None] * len(self.outcomes))

    def slices(self, columns: Sequence[str]) -> tuple[SliceError, ...]:
        """The error by the values of these columns."""
        found = []
        for name in columns:
            for value, part_N in self.parts_of(name).items():
                if (error := self.error_of(part_N)) and self.known[part_N].sum() >= FEWEST_OF_SLICE:
                    found.append(SliceError(column=name, value=value, rows=int(part_N.sum()), **_interval(error)))
        return tuple(found)


def _interval(error: LiveError | None) -> dict[str, Any]:
    return {name: getattr(error, name, None) for name in ("error", "low", "high")}


MOST_VALUES = 10
"""A number with more values is cut into quarters."""


def parts(cells: Sequence[object]) -> Mapping[str, NDArray[np.bool_]]:
    """The rows of each value; those without one have the name of the empty text."""
    numbers = [one for one in cells if isinstance(one, int | float) and not isinstance(one, bool)]
    if len({*numbers}) > MOST_VALUES and len(numbers) + cells.count(None) == len(cells):
        value_N = np.array([np.nan if one is None else one for one in cells], np.float64)
        is_missing_N = np.isnan(value_N)
        edges = np.unique(np.quantile(value_N[~is_missing_N], (0, 0.25, 0.5, 0.75, 1)))
        place_N = np.clip(np.searchsorted(edges, value_N, side="right") - 1, 0, len(edges) - 2)
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        found = {name: (place_N == place) & ~is_missing_N for place, name in enumerate(names)}
        return found | ({"": is_missing_N} if is_missing_N.any() else {})
    texts = np.array(["" if one is None else str(one) for one in cells])
    return {str(value): texts == value for value in np.unique(texts)}


def judge_errors(
    windows: Sequence[Answered],
    bound: ErrorBound | None,
    *,
    as_of: datetime,
    columns: Sequence[str],
    usual_rows: int = 0,
) -> list[ErrorReport]:
    """The report on the error of each window, in order of time. `columns` are those whose slices are judged.

    Of a window with fewer than FEWEST rows, and than half of the usual ones, the error is told, and has no figure.

    The figure is the smallest error of the window and those right before it, divided by the bound. For three windows in
    a row and the bound 0.3324:

    error      0.1250   0.4345   0.2887   0.3690
    lowest                       0.1250   0.2887
    figure                       0.38     0.87
    """
    found, stands, least = list[ErrorReport](), True, min(FEWEST, usual_rows / 2)
    for end, window in enumerate(windows, start=1):
        error = window.error
        # The newest window with labels decides whether the model's expectation of itself is believed.
        if error is not None:
            stands = not window.is_contradicted
        last = windows[max(end - bound.windows, 0) : end] if bound else []
        row = [one.error for one in last if one.error and len(one.outcomes) >= least]
        limit = bound.of_row(row) if bound and row else None
        # A window without an error makes the row too short, so that no figure rests on it.
        lowest = min(one.error for one in row) if bound and len(row) == bound.windows else None
        expects = window.expects and stands
        found.append(
            ErrorReport(
                answered=len(window.outcomes),
                labelled=window.labelled,
                champions=int(window.known.sum()),
                **_interval(error),
                expected=float(window.expected.mean()) if expects else None,
                expected_interval=window.expected_interval if expects else None,
                contradicted=error is not None and window.is_contradicted,
                overrides=window.overrides,
                ratio=lowest / limit if lowest is not None and limit else None,
                bound=limit,
                windows=bound.windows if bound else 1,
                settled=window.is_settled(as_of),
                slices=window.slices(columns) if error else (),
            )
        )
    return found


def wanted(window: Answered, seen: Sequence[Answered], *, a_day: int) -> tuple[LabelWanted, ...]:
    """The rows of the window whose labels are asked for, `a_day` for each day of their event time.

    None if all have their label. `seen` are windows with labels: as far as those of others say that the champion is
    wrong about its own error, rows are chosen by what they say."""
    if window.labelled == len(window.outcomes):
        return ()
    named = pa.table({name: window.outcomes.column(name) for name in ("event_time", "id")})
    in_order = pc.sort_indices(named, [("event_time", "ascending"), ("id", "ascending")]).to_numpy().astype(np.int64)
    own_n = in_order[window.own[in_order]]
    day_n = window.outcomes.times[own_n] // DAY
    expected_N = window.expected
    if window.expects and (others := [one for one in seen if one is not window]):
        expected_N = recalibrate(
            expected_N,
            errors_M=np.concatenate([one.errors[one.known] for one in others]),
            before_M=np.concatenate([one.expected[one.known] for one in others]),
            weights_M=np.concatenate([one.weights[one.known] for one in others]),
            most=1.0 if window.is_share else np.inf,
        )
    found = list[LabelWanted]()
    for number in np.unique(day_n).tolist():
        rows = own_n[day_n == number]
        # The same rows again for a run that is repeated.
        day, name = EPOCH + timedelta(days=number), named.column("id")[int(rows[0])].as_py()
        seed = hashlib.sha256(f"{window.champion} {day} {name}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(seed[:8], "big"))
        chance_n, chosen_n = choose(expected_N[rows], a_day, generator, is_share=window.is_share)
        chosen = window.outcomes.take(rows[chosen_n])
        told = zip(labels_asked(chosen), chance_n[chosen_n].tolist(), chosen.known.tolist(), strict=True)
        found += [LabelWanted(**dict(asked), chance=chance, is_known=is_known) for asked, chance, is_known in told]
    return tuple(found)


def weighted(window: Answered) -> Outcomes:
    """The champion's labelled outcomes, each with as many rows as it stands for.

    If labels were asked for and others are missing, only those that were asked for: they stand for the rest."""
    if window.chances is None or window.labelled >= ENOUGH * len(window.outcomes):
        return window.outcomes.take(window.known)
    chosen_N = window.known & (window.chances > 0)
    weight_n = 1 / window.chances[chosen_N]
    return replace(window.outcomes.take(chosen_N), weights=weight_n / weight_n.mean() if len(weight_n) else weight_n)


def labels_asked(chosen: Outcomes) -> list[LabelAsked]:
    """What people are told about decisions whose label they are asked for."""
    rows = pa.table({name: chosen.column(name) for name in ("id", "event_time", "key", "input", "source")}).to_pylist()
    inputs = (row["input"] if len(row["input"].encode()) <= INPUT_BYTES else "" for row in rows)
    return [
        LabelAsked(**row | {"key": json.loads(row["key"]), "input": one}) for row, one in zip(rows, inputs, strict=True)
    ]
