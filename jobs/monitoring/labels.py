"""Judges the error of windows by the labels that are known, and chooses the rows whose labels people are asked for.

Axes: N rows of a window that a model answered, the first decision about each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np

from millrace.decisions.outcomes import Outcome
from millrace.decisions.record import Decision
from millrace.decisions.review import INPUT_BYTES
from millrace.messages.asked_labels import LabelAsked, LabelWanted
from millrace.messages.monitor import ErrorReport, SliceError, WindowToJudge
from millrace.monitoring.error import ErrorBound
from millrace.monitoring.live_error import FEWEST, STRETCHES, LiveError, choose, contradict, live_error, recalibrate
from millrace.tasks.answer import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ENOUGH = 0.9
"""With this share of a window's labels, or of those that were asked for, later runs need not look at it again."""
FEWEST_OF_SLICE = 10
"""A slice with fewer labels is left out."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The rows of one window that models answered."""

    window: WindowToJudge
    outcomes: Sequence[Outcome]
    champion: str
    """The live version. What another one answered counts as a row without a label."""
    is_share: bool
    """Whether an error is a share of answers."""
    is_in_time: bool
    """Whether rows that are near in time may be alike."""

    # Each of the arrays has a cell for each outcome (N).
    @cached_property
    def own(self) -> NDArray[np.bool_]:
        """Whether the champion answered."""
        return np.array([one.decision.model_version == self.champion for one in self.outcomes], bool)

    @cached_property
    def errors(self) -> Floats:
        """NaN without a label of the champion's answer."""
        errors_N = np.array([np.nan if one.error is None else one.error for one in self.outcomes], np.float64)
        return np.where(self.own, errors_N, np.nan)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether the label of the champion's answer has come."""
        return np.isfinite(self.errors)

    @cached_property
    def expects(self) -> bool:
        """Whether the champion says of each of its answers how sure it is."""
        says = [CONFIDENCE in one.decision.output for one, own in zip(self.outcomes, self.own, strict=True) if own]
        return self.is_share and bool(says) and all(says)

    @cached_property
    def expected(self) -> Floats:
        """The error that the champion expects by its own confidence; 0 if it says none."""
        if not self.expects:
            return np.zeros(len(self.outcomes))
        found_N = np.array(
            [
                1 - float(one.decision.output[CONFIDENCE]) if own else np.nan  # type: ignore[arg-type]
                for one, own in zip(self.outcomes, self.own, strict=True)
            ]
        )
        return np.where(self.own, found_N, np.nanmean(found_N))

    @cached_property
    def chances(self) -> Floats | None:
        """The chance with which each row was chosen, 0 for one that was not; None if no labels were asked for."""
        if (asked := self.window.asked) is None:
            return None
        return np.array([asked.chances.get(one.decision.id, 0.0) for one in self.outcomes])

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
        start, whole = self.window.start, self.window.end - self.window.start
        return np.array([(one.decision.event_time - start) * STRETCHES // whole for one in self.outcomes], np.int64)

    @cached_property
    def labelled(self) -> int:
        return len([one for one in self.outcomes if one.error is not None])

    def is_settled(self, as_of: datetime) -> bool:
        """Whether no later run need look again. A window without decisions has nothing to wait for."""
        if self.labelled >= ENOUGH * len(self.outcomes):
            return True
        if (asked := self.window.asked) is None:
            return False
        came = [one for one in self.outcomes if one.error is not None and one.decision.id in asked.chances]
        return len(came) >= ENOUGH * len(asked.chances) or as_of >= asked.until

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
        return self.expects and contradict(self.errors, self.expected, self.chances, self.stretches)

    @cached_property
    def _inputs(self) -> list[dict[str, object]]:
        return [json.loads(one.decision.input) for one in self.outcomes]

    def parts_of(self, column: str) -> Mapping[str, NDArray[np.bool_]]:
        """The rows of each value of a column; numbers with many values are cut into quarters."""
        return parts([row.get(column) for row in self._inputs])

    def slices(self, columns: Sequence[str]) -> tuple[SliceError, ...]:
        """The error by the values of these columns."""
        found = []
        for name in columns:
            for value, part_N in self.parts_of(name).items():
                if (error := self.error_of(part_N)) and self.known[part_N].sum() >= FEWEST_OF_SLICE:
                    found.append(
                        SliceError(
                            column=name,
                            value=value,
                            rows=int(part_N.sum()),
                            error=error.error,
                            low=error.low,
                            high=error.high,
                        )
                    )
        return tuple(found)


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
        is_whole = bound is not None and len(row) == bound.windows
        lowest = min(one.error for one in row) if is_whole else None
        found.append(
            ErrorReport(
                answered=len(window.outcomes),
                labelled=window.labelled,
                champions=int(window.known.sum()),
                error=error.error if error else None,
                low=error.low if error else None,
                high=error.high if error else None,
                expected=float(window.expected.mean()) if window.expects and stands else None,
                contradicted=error is not None and window.is_contradicted,
                ratio=lowest / limit if lowest is not None and limit else None,
                bound=limit,
                settled=window.is_settled(as_of),
                slices=window.slices(columns) if error else (),
            )
        )
    return found


def wanted(window: Answered, seen: Sequence[Answered], *, a_day: int) -> tuple[LabelWanted, ...]:
    """The rows of the window whose labels are asked for, `a_day` for each day of their event time.

    None if all have their label. `seen` are windows with labels: as far as these say that the champion is wrong about
    its own error, rows are chosen by what they say."""
    if window.labelled == len(window.outcomes):
        return ()
    own = [place for place, is_own in enumerate(window.own) if is_own]
    own.sort(key=lambda place: (window.outcomes[place].decision.event_time, window.outcomes[place].decision.id))
    expected_N = window.expected
    if window.expects and seen:
        expected_N = recalibrate(
            expected_N,
            errors_M=np.concatenate([one.errors[one.known] for one in seen]),
            before_M=np.concatenate([one.expected[one.known] for one in seen]),
            weights_M=np.concatenate([one.weights[one.known] for one in seen]),
        )
    found = list[LabelWanted]()
    for day, places in groupby(own, key=lambda place: window.outcomes[place].decision.event_time.date()):
        rows = list(places)
        # The same rows again for a run that is repeated.
        seed = hashlib.sha256(f"{window.champion} {day} {window.outcomes[rows[0]].decision.id}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(seed[:8], "big"))
        chance_n, chosen_n = choose(expected_N[rows], a_day, generator)
        found += [
            _wanted(window.outcomes[place], float(chance))
            for place, chance, is_chosen in zip(rows, chance_n, chosen_n, strict=True)
            if is_chosen
        ]
    return tuple(found)


def weighted(window: Answered) -> list[Outcome]:
    """The champion's labelled outcomes, each with as many rows as it stands for.

    If labels were asked for and others are missing, only those that were asked for: they stand for the rest."""
    found = [one for one, known in zip(window.outcomes, window.known, strict=True) if known]
    if (asked := window.window.asked) is None or window.labelled >= ENOUGH * len(window.outcomes):
        return found
    found = [one for one in found if one.decision.id in asked.chances]
    mean = sum(1 / asked.chances[one.decision.id] for one in found) / max(len(found), 1)
    return [replace(one, weight=1 / asked.chances[one.decision.id] / mean) for one in found]


def _wanted(outcome: Outcome, chance: float) -> LabelWanted:
    asked = label_asked(outcome.decision)
    return LabelWanted(**dict(asked), chance=chance, is_known=outcome.error is not None)


def label_asked(decision: Decision) -> LabelAsked:
    """What people are told about a decision whose label they are asked for."""
    return LabelAsked(
        id=decision.id,
        event_time=decision.event_time,
        key=dict(decision.key),
        input=decision.input if len(decision.input.encode()) <= INPUT_BYTES else "",
        source=decision.source,
    )
