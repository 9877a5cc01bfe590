"""Finds the confidence from which on answers keep a promised error, and tries it on the test rows.

Learn then test (Angelopoulos, Bates, Candès, Jordan and Lei 2021): candidate thresholds are tested one after the other,
from several starting points towards lower thresholds. Each test is a binomial tail. A series ends at the first
threshold that is not proved. Axes: N rows, S candidate thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import AutomationEvidence, Estimate, SelectiveEvidence
from millrace.features.catalogue import encode
from millrace.tasks.answer import CONFIDENCE

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.gates.selective import Selective
    from millrace.evaluation.measures.case import Case
    from millrace.workload.policy import Policy

    Floats = npt.NDArray[np.float64]

STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where the series of tests start, as shares of the candidate thresholds, the strictest first.

One series from the strictest threshold is not enough: so few rows reach it that its test often proves nothing."""
RISK = 0.05
"""The largest probability that the error promised by a policy is exceeded on rows like the validation rows."""
STEPS = 100
"""The number of candidate thresholds, from one row used to all rows used."""


def measure(gate: Selective, case: Case) -> SelectiveEvidence:
    """The evidence of the gate: the threshold for its own `max_error`."""
    return _evidence(case, error=gate.max_error, risk=gate.risk)


def automation(policy: Policy | None, case: Case) -> AutomationEvidence | None:
    """The threshold for the error that the policy promises; None if it promises none."""
    if policy is None or (error := policy.promised_error) is None:
        return None
    found = _evidence(case, error=error, risk=RISK)
    return AutomationEvidence(promised_error=error, **dict(found))


def _evidence(case: Case, *, error: float, risk: float) -> SelectiveEvidence:
    """The threshold from the validation rows, and coverage and error of the test rows that reach it.

    The validation rows also gave the model's temperature."""
    rows = case.parts.validation
    output_NW = case.outputs(encode(case.features, case.part(rows)))
    held_N = case.task.answers(output_NW)[CONFIDENCE].astype(np.float64)
    wrong_N = case.task.errors(output_NW, case.target_N[rows])
    threshold = find_threshold(held_N, wrong_N, error=error, risk=risk)
    if threshold is None:
        nothing = Estimate(value=np.nan, low=np.nan, high=np.nan)
        return SelectiveEvidence(threshold=None, calibration_rows=len(held_N), coverage=nothing, error=nothing)
    used_T = case.task.answers(case.output_TW)[CONFIDENCE] >= threshold
    return SelectiveEvidence(
        threshold=threshold,
        calibration_rows=len(held_N),
        coverage=case.bootstrap.mean(used_T.astype(np.float64)),
        error=case.bootstrap.mean(case.errors, used_T),
    )


def find_threshold(confidence_N: Floats, wrong_N: Floats, *, error: float, risk: float) -> float | None:
    """The lowest confidence whose answers have an error of at most `error`; None if none is proved.

    `wrong_N` is 1 for a wrong answer, else 0. The promise is broken with a probability of at most `risk`."""
    from scipy.stats import binom

    # The surest answers first: wrongs[k] is the number of wrong answers among the surest k + 1.
    order = np.argsort(-confidence_N, kind="stable")
    wrongs = np.cumsum(wrong_N[order])
    sorted_N = confidence_N[order]
    steps = np.unique(np.linspace(1, len(order), STEPS).astype(int))
    # A candidate uses the surest `count` rows. Rows of equal confidence are used together.
    counts = np.unique(np.searchsorted(-sorted_N, -sorted_N[steps - 1], side="right"))
    # The p-value of each candidate: the probability of so few wrong answers if the error were just above the promise.
    p_S = binom.cdf(wrongs[counts - 1], counts, error)
    # Each series may fail with its share of the risk, so all together fail with `risk` at most. Within a series no
    # further correction is needed, since it ends at the first candidate that is not proved.
    proved: list[int] = []
    for start in STARTS:
        for place in range(int(start * len(counts)), len(counts)):
            if p_S[place] > risk / len(STARTS):
                break
            proved.append(place)
    return float(sorted_N[counts[max(proved)] - 1]) if proved else None
