"""Measures how differently the groups of a column are answered. Axes: T test rows, G groups, D draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from millrace.evaluation.gates.fairness import Disparity, Fairness, FairnessEvidence, GroupFigures
from millrace.evaluation.measures.case import Case
from millrace.evaluation.measures.groups import Group, groups

Floats = npt.NDArray[np.float64]


class Rates:
    """One rate for each group (G), and the same rate in each draw (D, G).

    The rate is the sum of `value_T` over the rows of the group that `of_T` counts (1 or 0), divided by their number.
    For the true positive rate, `value_T` says whether the answer is positive, and `of_T` whether the label is."""

    def __init__(self, case: Case, found: list[Group], value_T: Floats, of_T: Floats) -> None:
        masks = [group.rows_T.astype(np.float64) for group in found]
        counts = [float((of_T * mask_T).sum()) for mask_T in masks]
        self.rate_G = np.array(
            [
                (value_T * of_T * mask_T).sum() / count if count else np.nan
                for mask_T, count in zip(masks, counts, strict=True)
            ]
        )
        self.drawn_DG = np.stack(
            [case.bootstrap.ratios(value_T * of_T * mask_T, of_T * mask_T) for mask_T in masks], axis=1
        )


def measure(gate: Fairness, case: Case) -> FairnessEvidence:
    """The figures of every group, and for each column the disparities between its groups with enough rows."""
    found = list(groups(case, gate.columns))
    of_all = _rates(case, found)
    figures = tuple(
        GroupFigures(
            column=group.column,
            value=group.value,
            rows=group.rows,
            error=float(of_all["error"].rate_G[place]),
            **{name: _number(rates.rate_G[place]) for name, rates in of_all.items() if name != "error"},
        )
        for place, group in enumerate(found)
    )
    # All groups are reported. Only groups with enough rows are compared, and only within their column.
    disparities = []
    for column in gate.columns:
        judged = [group for group in found if group.column == column and group.rows >= gate.minimum_rows]
        if len(judged) >= 2:
            disparities += list(_disparities(case, judged, gate))
    return FairnessEvidence(groups=figures, disparities=tuple(disparities))


def _rates(case: Case, found: list[Group]) -> dict[str, Rates]:
    """The rates of the groups by the field of `GroupFigures`; only binary tasks have more than `error`."""
    ones_T = np.ones(len(case.errors))
    rates = {"error": Rates(case, found, case.errors, ones_T)}
    if case.task.kind == "binary":
        answer_T = case.task.answers(case.output_TW)["value"].astype(np.float64)
        positive_T = (case.test_targets > 0).astype(np.float64)
        rates["selection_rate"] = Rates(case, found, answer_T, ones_T)
        rates["true_positive_rate"] = Rates(case, found, answer_T, positive_T)
        rates["false_positive_rate"] = Rates(case, found, answer_T, 1 - positive_T)
    return rates


def _disparities(case: Case, judged: list[Group], gate: Fairness) -> Iterator[Disparity]:
    """One disparity for each declared bar, between the groups `judged` of one column."""
    rates, column = _rates(case, judged), judged[0].column
    for name in gate.bars():
        measure_name = name[4:]  # without "max_" or "min_"
        if measure_name == "equalized_odds_difference":
            parts = [rates["true_positive_rate"], rates["false_positive_rate"]]
        else:
            parts = [rates["error" if measure_name == "error_difference" else "selection_rate"]]
        if measure_name == "demographic_parity_ratio":
            value, drawn_D = _ratio(parts[0].rate_G), _ratio(parts[0].drawn_DG)
            widest = parts[0]
        else:
            # Equalised odds are the larger of two differences, also in each draw; `widest` names the groups.
            widest = max(parts, key=lambda one: float(np.nan_to_num(_difference(one.rate_G))))
            value = _difference(widest.rate_G)
            drawn_D = np.fmax.reduce([_difference(one.drawn_DG) for one in parts])
        yield Disparity(
            column=column,
            measure=measure_name,
            figure=case.bootstrap.interval(float(value), drawn_D),
            lowest=_named(judged, widest, lowest=True),
            highest=_named(judged, widest, lowest=False),
        )


def _difference(rate_G: Floats) -> Floats:
    """The highest rate minus the lowest over the last axis; groups without a rate (NaN) are left out."""
    # `fmax` and `fmin` pass over NaN.
    found: Floats = np.fmax.reduce(rate_G, axis=-1) - np.fmin.reduce(rate_G, axis=-1)
    return found


def _ratio(rate_G: Floats) -> Floats:
    """The lowest rate divided by the highest over the last axis; 1 if all rates are 0, as nobody is selected."""
    low, high = np.fmin.reduce(rate_G, axis=-1), np.fmax.reduce(rate_G, axis=-1)
    found: Floats = np.divide(low, high, out=np.ones_like(high), where=high > 0)
    return found


def _named(judged: list[Group], rates: Rates, *, lowest: bool) -> str:
    """The group with the lowest or the highest rate, with that rate: "f (0.123)"."""
    ranked_G = np.where(np.isnan(rates.rate_G), np.inf if lowest else -np.inf, rates.rate_G)
    place = int(ranked_G.argmin() if lowest else ranked_G.argmax())
    return f"{judged[place].value} ({rates.rate_G[place]:.3f})"


def _number(rate: float) -> float | None:
    return None if np.isnan(rate) else float(rate)
