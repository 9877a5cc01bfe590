"""What may suit the rows: the candidates that a trial compares, the plainest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from millrace.console.new.declare import ProposedPrediction
from millrace.console.new.families import (
    Family,
    PartAtHand,
    multiscale,
    on_scale,
    two_layers,
    with_intervals,
    with_part,
    with_trees,
)
from millrace.console.new.features import Features
from millrace.console.new.rehearsal import Rehearsal
from millrace.console.new.times import HOUR_S, Series

DAY_H, WEEK_H = 24, 168
LONG_HOURS = 72
"""How far back a longer history reaches if the label has no weekly season."""
SEASONAL = 0.05
"""A label has a weekly season if its correlation with the label a week before is by so much above that of the day
before and after."""
LONG_STEPS = 200
"""The most steps of a longer history that a recurrent network reads: it takes a step after the other."""
TREE_COLUMNS = 300
"""The most numbers in a row's history for which boosted trees are tried: they take each as a column."""
MOST_NUMBERS = 2**28
"""The most numbers in the histories of all rows, a gigabyte. A longer history is not tried beyond it."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to learn from the rows."""

    said: str
    """What it is, in a few words."""
    features: Features
    family: Family


def candidates(
    usual: Family,
    features: Features,
    prediction: ProposedPrediction,
    series: Series | None,
    rehearsal: Rehearsal,
    part: PartAtHand | None = None,
) -> tuple[Candidate, ...]:
    """The candidates, with the usual family among them. For texts the usual one, for texts alone also one with the
    vectors of a `part`. A label with a tail is tried on two scales, whatever the family.

    `prediction` is what is proposed without a trial."""
    rows = rehearsal.examples.table.num_rows
    if series is not None and usual.name == "gru":
        return tuple(_of_series(usual, features, prediction, series, rehearsal))
    if usual.name == "feedforward":
        return tuple(_of_table(usual, features, prediction, rows))
    families = [usual, *([with_part(part, len(prediction.texts))] if part else [])]
    return tuple(
        _on_scales([Candidate(said=each.why, features=features, family=each) for each in families], prediction)
    )


def _on_scales(plain: Iterable[Candidate], prediction: ProposedPrediction) -> Iterator[Candidate]:
    """Each candidate as it is and, for a label with a tail, on the scale by its skew; that scale first if it is usual.

    A smaller error decides, so the order only matters where both are equally near."""
    scales = dict.fromkeys(
        ["identity", prediction.label_scale] if prediction.is_ordered else [prediction.label_scale, "identity"]
    )
    for each in plain:
        for scale in scales:
            said = each.said if scale == "identity" else f"{each.said}, {scale} of the label"
            yield replace(each, said=said, family=on_scale(each.family, scale))


def _of_table(usual: Family, features: Features, prediction: ProposedPrediction, rows: int) -> Iterator[Candidate]:
    def candidate(said: str, family: Family) -> Candidate:
        return Candidate(said=said, features=features, family=family)

    intervals = with_intervals(rows, prediction.columns)
    if prediction.is_ordered:
        plain = [candidate("numbers as they are, two layers of 64", usual)]
        plain.append(candidate("intervals of numbers, eight heads", intervals))
        if prediction.takes_trees:
            plain.append(candidate("intervals and boosted trees", with_trees(intervals)))
        yield from _on_scales(plain, prediction)
        return
    words = ["intervals of numbers", *["boosted trees"] * prediction.takes_trees]
    scale = prediction.label_scale
    yield candidate(", ".join([*words, *[f"{scale} of the label"] * (scale != "identity")]), usual)
    if scale != "identity":
        yield candidate(", ".join(words), on_scale(usual, "identity"))
    if prediction.takes_trees:
        yield candidate("no boosted trees", on_scale(intervals, scale))
    yield candidate("two layers", two_layers(usual))


def _of_series(
    usual: Family, features: Features, prediction: ProposedPrediction, series: Series, rehearsal: Rehearsal
) -> Iterator[Candidate]:
    """The columns alone; then a history of a day, and one of three days or a week, by two families each."""
    rows, means = rehearsal.examples.table.num_rows, multiscale(rehearsal.examples.table.num_rows)
    if features.columns:
        without, alone = features.without_history(), with_intervals(rows, prediction.columns)
        yield Candidate(said="the columns alone, no history", features=without, family=alone)
    past = f"the past {series.hours:g} h"
    yield from _on_scales([Candidate(said=f"means of {past}", features=features, family=means)], prediction)
    yield Candidate(said=f"recurrent over {past}", features=features, family=usual)
    if prediction.takes_trees and round(series.hours / series.every_hours) * _past_columns(features) <= TREE_COLUMNS:
        yield Candidate(said=f"means of {past}, boosted trees", features=features, family=with_trees(means))
    hours = _longer(series, rehearsal)
    steps, past = round(hours / series.every_hours), f"the past {hours:g} h"
    if not hours or rows * steps * _past_columns(features) > MOST_NUMBERS:
        return
    longer = features.reaching(hours)
    yield Candidate(said=f"means of {past}", features=longer, family=means)
    if steps <= LONG_STEPS:
        yield Candidate(said=f"recurrent over {past}", features=longer, family=usual)


def _past_columns(features: Features) -> int:
    return sum(len(each.get("history", ())) for each in features.derived)


def _longer(series: Series, rehearsal: Rehearsal) -> float:
    """How far back a longer history reaches, in hours; 0 if the usual one reaches that far, or for steps of days."""
    if series.hours != DAY_H:
        return 0
    train, target_N = rehearsal.examples.parts.train, rehearsal.target_N
    if target_N.ndim > 1 or target_N.dtype == np.int64:  # several horizons or classes
        return LONG_HOURS
    hour_N = rehearsal.examples.times_N[train].astype("datetime64[s]").astype(np.int64) / HOUR_S
    before, week, after = (
        _correlation(hour_N, target_N[train], hours) for hours in (WEEK_H - DAY_H, WEEK_H, WEEK_H + DAY_H)
    )
    return WEEK_H if week > max(before, after) + SEASONAL else LONG_HOURS


def _correlation(hour_N: npt.NDArray[np.float64], value_N: npt.NDArray[np.floating], hours: float) -> float:
    """The correlation of the values with those so many hours before; of several entities that of their means."""
    hours_H, place_N = np.unique(np.round(hour_N, 6), return_inverse=True)
    mean_H = np.bincount(place_N, weights=value_N) / np.bincount(place_N)
    at_H = np.searchsorted(hours_H, np.round(hours_H - hours, 6))
    is_there_H = hours_H[at_H] == np.round(hours_H - hours, 6)
    if is_there_H.sum() < 2 * DAY_H:
        return 0.0
    pairs = np.corrcoef(mean_H[is_there_H], mean_H[at_H[is_there_H]])
    return float(np.nan_to_num(pairs[0, 1]))
