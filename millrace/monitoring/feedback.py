"""What the model's own actions do to its data: what comes of decisions that acted, beside those that were held out.

Of the held-out rows only those count that would have acted by their confidence. What differs then between the two is
what acting has changed, or who gives the label: of a held-out row it is a person."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from millrace.messages.feedback import FeedbackFigure, FeedbackReport
from millrace.tasks.answer import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from millrace.decisions.outcome_columns import Outcomes

    Floats = NDArray[np.float64]
    Weighted = tuple[Floats, Floats]

LEAST = 20
"""With fewer labels of either kind nothing is said."""
MOST_CLASSES = 20
NORMAL = 1.959964
"""The quantile of the normal curve for an interval of 95 %."""


def feedback(settled: Outcomes) -> FeedbackReport | None:
    """How the outcomes of both kinds differ; None with too few of either. Rows are taken for independent."""
    # Without a confidence every held-out row counts.
    confidence_N = np.nan_to_num(settled.answers(CONFIDENCE), nan=0.0)
    acted_N = settled.known & settled.says("action", "automated")
    least = confidence_N[acted_N].min(initial=math.inf)
    held_N = settled.known & settled.says("reason", "held_out") & (confidence_N >= least)
    if min(acted_N.sum(), held_N.sum()) < LEAST:
        return None

    def figure(name: str, value_N: Floats) -> FeedbackFigure:
        return _figure(name, *((value_N[one_N], settled.weights[one_N]) for one_N in (held_N, acted_N)))

    figures = [figure("error", settled.errors)]
    labels_N = settled.labels
    kinds = {type(label) for label in labels_N[settled.known]}
    if kinds == {float}:
        figures.append(figure("label", np.where(settled.known, labels_N, np.nan).astype(np.float64)))
    elif all(issubclass(kind, str | int) for kind in kinds):
        # Of two classes the share of one says all.
        classes = sorted({str(label) for label in set(labels_N[settled.known])})
        shown = classes[1:] if len(classes) == 2 else classes
        if len(classes) <= MOST_CLASSES:
            text_N = labels_N.astype(str)
            figures += [figure(f"share of {name}", (text_N == name).astype(np.float64)) for name in shown]
    return FeedbackReport(held_out=int(held_N.sum()), acted=int(acted_N.sum()), figures=tuple(figures))


def _figure(name: str, held: Weighted, acted: Weighted) -> FeedbackFigure:
    (own, spread), (other, other_spread) = _mean(*held), _mean(*acted)
    reach = NORMAL * math.sqrt(spread + other_spread)
    difference = other - own
    return FeedbackFigure(name=name, held_out=own, acted=other, low=difference - reach, high=difference + reach)


def _mean(value_n: Floats, weight_n: Floats) -> tuple[float, float]:
    """The weighted mean and its variance, which is at least what one row of so many that is otherwise would make it.

    So a share of 0 is not certain."""
    mean = float(weight_n @ value_n / weight_n.sum())
    variance = float(((weight_n * (value_n - mean)) ** 2).sum() / weight_n.sum() ** 2)
    span = float(np.abs(value_n - mean).max()) or 1.0
    return mean, max(variance, span**2 / len(value_n) ** 2)
