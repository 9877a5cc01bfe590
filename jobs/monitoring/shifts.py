"""Names how a window differs from training: out of support, covariate shift, label shift, concept drift.

Axes: N rows of a window, n of them with a label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from millrace.jobs.monitoring.labels import Answered
from millrace.messages.monitor import DriftFinding, Shift, ShiftKind
from millrace.monitoring.judgement import CONSTANT
from millrace.monitoring.live_error import beyond
from millrace.tasks.answer import PROBABILITY

Floats = NDArray[np.float64]

UNKNOWN = ("unseen", CONSTANT)
"""The statistics that count rows where training had none."""
FALSE = 0.01
"""The probability of naming a column on whose values the errors do not depend, all columns together."""
STEPS, LEAST = 20, 1e-4


def shifts(findings: Sequence[DriftFinding], window: Answered, columns: Sequence[str]) -> tuple[Shift, ...]:
    """The shifts of the window. `findings` are its input's, the largest ratio first; `columns` are the features'."""
    return (*_of_input(findings), *_of_labels(window, columns))


def _of_input(findings: Sequence[DriftFinding]) -> Iterator[Shift]:
    above = [one for one in findings if one.ratio > 1]
    unknown = dict.fromkeys(one.column for one in above if one.statistic in UNKNOWN)
    others = dict.fromkeys(one.column for one in above if one.column not in unknown)
    kinds: tuple[tuple[ShiftKind, dict[str, None]], ...] = (("out_of_support", unknown), ("covariate_shift", others))
    for kind, found in kinds:
        if found:
            yield Shift(kind=kind, columns=tuple(found))


def _of_labels(window: Answered, columns: Sequence[str]) -> Iterator[Shift]:
    """Label shift or concept drift, if labels say that the model is wrong more often than it expects."""
    if not (window.is_contradicted and window.error and window.error.error > window.expected.mean()):
        return
    expected_N = expected_of_mix(window)
    told = window.chances, window.stretches
    if expected_N is not None and abs(beyond(window.errors, expected_N, *told) or 0.0) <= 1:
        yield Shift(kind="label_shift", columns=())
    else:
        yield Shift(kind="concept_drift", columns=tuple(_uneven(window, columns)))


def expected_of_mix(window: Answered) -> Floats | None:
    """The error to expect of each row (N) if only the mix of the two classes is another one; None for other answers.

    Under label shift all log-odds move by one number (Saerens et al. 2002): that under which the model expects as many
    rows of the class 1 as the labels show."""
    says_N = window.outcomes.answers(PROBABILITY)
    if np.isnan(says_N).any():
        return None
    odds_N = says_N.clip(LEAST, 1 - LEAST)
    odds_N = np.log(odds_N / (1 - odds_N))
    known_N = window.known
    weight_n = window.weights[known_N]
    answer_N = window.outcomes.answers("value") == 1
    one_n = np.where(window.errors[known_N] > 0, ~answer_N[known_N], answer_N[known_N])
    share = float(weight_n @ one_n / weight_n.sum())
    low, high = -10.0, 10.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        expects = float(weight_n @ (1 / (1 + np.exp(-odds_N[known_N] - middle))) / weight_n.sum())
        low, high = (middle, high) if expects < share else (low, middle)
    positive_N = 1 / (1 + np.exp(-odds_N - (low + high) / 2))
    expected_N: Floats = np.where(answer_N, 1 - positive_N, positive_N)
    return expected_N


def _uneven(window: Answered, columns: Sequence[str]) -> list[str]:
    """The columns on whose values it depends how much the model is wrong beyond what it says, the clearest first."""
    known_N = window.known & (window.weights > 0)
    apart_N, weight_N = window.errors - window.expected, window.weights
    mean = float(weight_N[known_N] @ apart_N[known_N] / weight_N[known_N].sum())
    found: dict[str, float] = {}
    tried = 0
    for name in columns:
        for part_N in window.parts_of(name).values():
            here_N = part_N & known_N
            if here_N.sum() < 2 or here_N.sum() == known_N.sum():
                continue
            tried += 1
            weight_n = weight_N[here_N] / weight_N[here_N].sum()
            around_n = apart_N[here_N] - float(weight_n @ apart_N[here_N])
            deviation = float(np.sqrt(weight_n**2 @ np.maximum(around_n**2, LEAST)))
            far = abs(float(weight_n @ apart_N[here_N]) - mean) / deviation
            found[name] = max(found.get(name, 0.0), far)
    reach = NormalDist().inv_cdf(1 - FALSE / 2 / max(tried, 1))
    return sorted((name for name, far in found.items() if far > reach), key=lambda name: -found[name])
