"""The tabular bias metrics of SageMaker Clarify by its names, equal to its library `smclarify` (benchmarks/bias).

Each compares a facet with all other rows, for labels that are positive or not. The gate `fairness` judges some of them
by other names: `demographic_parity_difference` is the largest DPPL between two groups, `demographic_parity_ratio` the
smallest DI, `equalized_odds_difference` the larger one of RD and SD.

https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-measure-data-bias.html
https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-measure-post-training-bias.html

Axes: N rows, A rows outside the facet, D rows of the facet, F features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]

NEIGHBOURS, FEW = 5, 9
"""The flip test asks so many neighbours; one alone, if there are at most FEW rows outside the facet."""
AT_ONCE = 256
"""Rows of the facet whose neighbours are looked for together, which bounds the memory."""


class UndefinedError(ValueError):
    """A metric has no value on these rows; the message says why."""


@dataclass(frozen=True, kw_only=True)
class OutcomeCounts:
    """Rows of the facet, or of all others."""

    rows: int
    positive: int
    """By their labels."""
    accepted: int
    """By their predicted labels."""
    true_positive: int

    @property
    def negative(self) -> int:
        return self.rows - self.positive

    @property
    def rejected(self) -> int:
        return self.rows - self.accepted

    @property
    def false_positive(self) -> int:
        return self.accepted - self.true_positive

    @property
    def false_negative(self) -> int:
        return self.positive - self.true_positive

    @property
    def true_negative(self) -> int:
        return self.negative - self.false_positive


@dataclass(frozen=True, kw_only=True)
class GroupRows:
    """What a metric is computed from."""

    facet_N: Flags
    """Whether the row belongs to the facet, the group that may be treated worse."""
    label_N: Flags
    """Whether the label is positive."""
    predicted_N: Flags | None = None
    """Whether the predicted label is positive; None before a training."""
    group_N: npt.NDArray[Any] | None = None
    """The subgroup of each row, for the conditional metrics."""
    features_NF: Floats | None = None
    """Numbers alone, for the flip test."""

    @cached_property
    def others(self) -> OutcomeCounts:
        return self._counts(~self.facet_N)

    @cached_property
    def facet(self) -> OutcomeCounts:
        return self._counts(self.facet_N)

    def _counts(self, which_N: Flags) -> OutcomeCounts:
        predicted_N = np.zeros_like(which_N) if self.predicted_N is None else self.predicted_N
        if not which_N.any():
            raise UndefinedError("the facet has no rows, or all")
        return OutcomeCounts(
            rows=int(which_N.sum()),
            positive=int((which_N & self.label_N).sum()),
            accepted=int((which_N & predicted_N).sum()),
            true_positive=int((which_N & self.label_N & predicted_N).sum()),
        )


@dataclass(frozen=True)
class BiasMetric:
    """One metric."""

    title: str
    value: Callable[[GroupRows], float]


def value_of(metric: BiasMetric, rows: GroupRows) -> float:
    """The metric on these rows; infinite where its ratio is. Raises UndefinedError where Clarify gives no value."""
    return float(metric.value(rows))


def _ratio(upper: float, lower: float) -> float:
    if lower:
        return upper / lower
    return math.inf if upper else 0.0


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else one - other


def _difference(
    part: Callable[[OutcomeCounts], tuple[float, float]], *, facet_first: bool = False
) -> Callable[[GroupRows], float]:
    """The ratio of two counts outside the facet less that within, or the other way round."""

    def value(rows: GroupRows) -> float:
        others, facet = _ratio(*part(rows.others)), _ratio(*part(rows.facet))
        return _apart(facet, others) if facet_first else _apart(others, facet)

    return value


def _shares(rows: GroupRows) -> tuple[Floats, Floats]:
    """The shares of positive and negative labels outside the facet and within, of those labels that both have."""
    try:
        others, facet = rows.others, rows.facet
    except UndefinedError:
        raise UndefinedError("no label is both within the facet and outside") from None
    pair = np.array([[one.negative / one.rows, one.positive / one.rows] for one in (others, facet)])
    common = pair[:, (pair > 0).all(axis=0)]
    if not common.size:
        raise UndefinedError("no label is both within the facet and outside")
    return common[0], common[1]


def _norm(order: float) -> Callable[[GroupRows], float]:
    def value(rows: GroupRows) -> float:
        others, facet = _shares(rows)
        return float(np.linalg.norm(others - facet, order))

    return value


def _kullback_leibler(rows: GroupRows) -> float:
    others, facet = _shares(rows)
    return float((others * np.log(others / facet)).sum())


def _jensen_shannon(rows: GroupRows) -> float:
    others, facet = _shares(rows)
    middle = (others + facet) / 2
    return float((others * np.log(others / middle)).sum() + (facet * np.log(facet / middle)).sum()) / 2


def _conditional_disparity(rows: GroupRows, positive_N: Flags) -> float:
    """The facet's share of the rejected less its share of the accepted: the mean over subgroups by their rows."""
    if rows.group_N is None:
        raise UndefinedError("no group variable is named")
    if positive_N.all() or not positive_N.any():
        raise UndefinedError("all rows are positive, or none")
    disparities, sizes = [], []
    for group in dict.fromkeys(rows.group_N.tolist()):
        inside_N = rows.group_N == group
        accepted, rejected = inside_N & positive_N, inside_N & ~positive_N
        share = [int((one & rows.facet_N).sum()) / max(int(one.sum()), 1) for one in (rejected, accepted)]
        disparities.append(share[0] - share[1])
        sizes.append(int(inside_N.sum()))
    return float(np.average(disparities, weights=sizes))


def _predicted(rows: GroupRows) -> Flags:
    if rows.predicted_N is None:
        raise UndefinedError("there are no predicted labels")
    return rows.predicted_N


def _flip_test(rows: GroupRows) -> float:
    """The rows that are accepted though rows outside the facet like them are not, less the opposite; as a share."""
    if rows.features_NF is None or not rows.features_NF.shape[1] or not np.isfinite(rows.features_NF).all():
        raise UndefinedError("the flip test needs features that are finite numbers, all of them")
    predicted_N, count = _predicted(rows), rows.facet.rows
    neighbours = NEIGHBOURS if rows.others.rows > FEW else 1
    others_AF, others_A = rows.features_NF[~rows.facet_N], predicted_N[~rows.facet_N]
    facet_DF, accepted_D = rows.features_NF[rows.facet_N], predicted_N[rows.facet_N]
    alike_D = np.empty(count, bool)
    for start in range(0, count, AT_ONCE):
        part = facet_DF[start : start + AT_ONCE]
        squares_DA = sum((part[:, f, None] - others_AF[None, :, f]) ** 2 for f in range(part.shape[1]))
        nearest = np.argsort(squares_DA, axis=1, kind="stable")[:, :neighbours]
        alike_D[start : start + AT_ONCE] = others_A[nearest].mean(axis=1) > 0.5
    return (int((accepted_D & ~alike_D).sum()) - int((alike_D & ~accepted_D).sum())) / count


def _generalized_entropy(rows: GroupRows) -> float:
    benefit_N = _predicted(rows).astype(float) - rows.label_N + 1
    if not benefit_N.any():
        raise UndefinedError("each prediction is a false negative")
    return float(((benefit_N / benefit_N.mean()) ** 2 - 1).mean() / 2)


def _imbalance(rows: GroupRows) -> float:
    return (rows.others.rows - rows.facet.rows) / len(rows.facet_N)


def _impact(rows: GroupRows) -> float:
    return _ratio(*(_ratio(one.accepted, one.rows) for one in (rows.facet, rows.others)))


PRE_TRAINING: Mapping[str, BiasMetric] = {
    "CDDL": BiasMetric(
        "Conditional Demographic Disparity in Labels (CDDL)", lambda rows: _conditional_disparity(rows, rows.label_N)
    ),
    "CI": BiasMetric("Class Imbalance (CI)", _imbalance),
    "DPL": BiasMetric(
        "Difference in Positive Proportions in Labels (DPL)", _difference(lambda one: (one.positive, one.rows))
    ),
    "JS": BiasMetric("Jensen-Shannon Divergence (JS)", _jensen_shannon),
    "KL": BiasMetric("Kullback-Liebler Divergence (KL)", _kullback_leibler),
    "KS": BiasMetric("Kolmogorov-Smirnov Distance (KS)", _norm(np.inf)),
    "LP": BiasMetric("L-p Norm (LP)", _norm(2)),
    "TVD": BiasMetric("Total Variation Distance (TVD)", lambda rows: _norm(1)(rows) / 2),
}
"""By Clarify's names and with its titles, spelled as there."""
POST_TRAINING: Mapping[str, BiasMetric] = {
    "AD": BiasMetric(
        "Accuracy Difference (AD)", _difference(lambda one: (one.true_positive + one.true_negative, one.rows))
    ),
    "CDDPL": BiasMetric(
        "Conditional Demographic Disparity in Predicted Labels (CDDPL)",
        lambda rows: _conditional_disparity(rows, _predicted(rows)),
    ),
    "DAR": BiasMetric(
        "Difference in Acceptance Rates (DAR)", _difference(lambda one: (one.true_positive, one.accepted))
    ),
    "DCA": BiasMetric(
        "Difference in Conditional Acceptance (DCA)", _difference(lambda one: (one.positive, one.accepted))
    ),
    "DCR": BiasMetric(
        "Difference in Conditional Rejection (DCR)",
        _difference(lambda one: (one.negative, one.rejected), facet_first=True),
    ),
    "DI": BiasMetric("Disparate Impact (DI)", _impact),
    "DPPL": BiasMetric(
        "Difference in Positive Proportions in Predicted Labels (DPPL)",
        _difference(lambda one: (one.accepted, one.rows)),
    ),
    "DRR": BiasMetric(
        "Difference in Rejection Rates (DRR)",
        _difference(lambda one: (one.true_negative, one.rejected), facet_first=True),
    ),
    "FT": BiasMetric("Flip Test (FT)", _flip_test),
    "GE": BiasMetric("Generalized Entropy (GE)", _generalized_entropy),
    "RD": BiasMetric("Recall Difference (RD)", _difference(lambda one: (one.true_positive, one.positive))),
    "SD": BiasMetric(
        "Specificity Difference (SD)",
        _difference(lambda one: (one.true_negative, one.negative), facet_first=True),
    ),
    "TE": BiasMetric(
        "Treatment Equality (TE)",
        _difference(lambda one: (one.false_negative, one.false_positive), facet_first=True),
    ),
}
