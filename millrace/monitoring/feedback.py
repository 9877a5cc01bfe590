"""What the model's own actions do to its data: what comes of decisions that acted, beside those that were held out.

Of the held-out rows only those count that would have acted by their confidence. What differs then between the two is
what acting has changed, or who gives the label: of a held-out row it is a person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from millrace.messages.feedback import FeedbackFigure, FeedbackReport
from millrace.tasks.answer import CONFIDENCE

if TYPE_CHECKING:
    from millrace.decisions.outcomes import Outcome

LEAST = 20
"""With fewer labels of either kind nothing is said."""
MOST_CLASSES = 20
NORMAL = 1.959964
"""The quantile of the normal curve for an interval of 95 %."""
Pairs = Sequence[tuple[float, float]]
"""Value and weight of each decision."""


def feedback(settled: Sequence[Outcome]) -> FeedbackReport | None:
    """How the outcomes of both kinds differ; None with too few of either. Rows are taken for independent."""
    known = [one for one in settled if one.error is not None]
    acted = [one for one in known if one.decision.action == "automated"]
    least = min((_confidence(one) for one in acted), default=math.inf)
    held = [one for one in known if one.decision.reason == "held_out" and _confidence(one) >= least]
    if min(len(acted), len(held)) < LEAST:
        return None
    figures = [_figure("error", _errors(held), _errors(acted))]
    labels = [one.label for one in known]
    if all(isinstance(label, float) for label in labels):
        figures.append(_figure("label", _values(held), _values(acted)))
    elif all(isinstance(label, str | int) for label in labels):
        # Of two classes the share of one says all.
        classes = sorted({str(label) for label in labels})
        shown = classes[1:] if len(classes) == 2 else classes
        if len(classes) <= MOST_CLASSES:
            figures += [_figure(f"share of {name}", _is(held, name), _is(acted, name)) for name in shown]
    return FeedbackReport(held_out=len(held), acted=len(acted), figures=tuple(figures))


def _confidence(outcome: Outcome) -> float:
    """The answer's confidence; 0 for one without: then every held-out row counts."""
    found = outcome.decision.output.get(CONFIDENCE)
    return float(found) if isinstance(found, int | float) else 0.0


def _errors(outcomes: Sequence[Outcome]) -> Pairs:
    return [(one.error, one.weight) for one in outcomes if one.error is not None]


def _values(outcomes: Sequence[Outcome]) -> Pairs:
    return [(float(one.label), one.weight) for one in outcomes if one.label is not None]


def _is(outcomes: Sequence[Outcome], name: str) -> Pairs:
    return [(float(str(one.label) == name), one.weight) for one in outcomes]


def _figure(name: str, held: Pairs, acted: Pairs) -> FeedbackFigure:
    (own, spread), (other, other_spread) = _mean(held), _mean(acted)
    reach = NORMAL * math.sqrt(spread + other_spread)
    difference = other - own
    return FeedbackFigure(name=name, held_out=own, acted=other, low=difference - reach, high=difference + reach)


def _mean(pairs: Pairs) -> tuple[float, float]:
    """The weighted mean and its variance, which is at least what one row of so many that is otherwise would make it.

    So a share of 0 is not certain."""
    total = sum(weight for _, weight in pairs)
    mean = sum(value * weight for value, weight in pairs) / total
    variance = sum((weight * (value - mean)) ** 2 for value, weight in pairs) / total**2
    span = max((abs(value - mean) for value, _ in pairs), default=0.0) or 1.0
    return mean, max(variance, span**2 / len(pairs) ** 2)
