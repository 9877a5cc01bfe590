"""The threshold of the confidence from which on answers keep a promised error, and what it does on the test rows.

Learn then test (Angelopoulos, Bates, Candès, Jordan and Lei 2021): candidate thresholds are tested from several
starting points towards lower ones, each by the binomial tail, until the first that is not proved. Axes: N rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import Estimate, SelectiveEvidence
from millrace.features.catalogue import encode

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.gates.selective import Selective
    from millrace.evaluation.measures.case import Case

    Floats = npt.NDArray[np.float64]

STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the rows that are used at the starting points: the strictest threshold alone has too few rows."""
STEPS = 100
"""Thresholds between none and all of the rows."""


def measure(gate: Selective, case: Case) -> SelectiveEvidence:
    """Found on the validation rows, which gave the temperature too, and tried on the test rows."""
    rows = case.parts.validation
    output_NW = case.outputs(encode(case.features, case.part(rows)))
    held_N = case.task.answers(output_NW)["confidence"].astype(np.float64)
    wrong_N = case.task.errors(output_NW, case.target_N[rows])
    threshold = find_threshold(held_N, wrong_N, error=gate.max_error, risk=gate.risk)
    if threshold is None:
        nothing = Estimate(value=np.nan, low=np.nan, high=np.nan)
        return SelectiveEvidence(threshold=None, calibration_rows=len(held_N), coverage=nothing, error=nothing)
    used_T = case.task.answers(case.output_TW)["confidence"] >= threshold
    return SelectiveEvidence(
        threshold=threshold,
        calibration_rows=len(held_N),
        coverage=case.bootstrap.mean(used_T.astype(np.float64)),
        error=case.bootstrap.mean(case.errors, used_T),
    )


def find_threshold(confidence_N: Floats, wrong_N: Floats, *, error: float, risk: float) -> float | None:
    """The lowest threshold whose error is at most `error`, but for a probability of `risk`; None without one."""
    from scipy.stats import binom

    order = np.argsort(-confidence_N, kind="stable")
    wrongs = np.cumsum(wrong_N[order])
    sorted_N = confidence_N[order]
    steps = np.unique(np.linspace(1, len(order), STEPS).astype(int))
    # Equal confidences are used together.
    counts = np.unique(np.searchsorted(-sorted_N, -sorted_N[steps - 1], side="right"))
    # The probability of so few wrong answers among so many, were the error just above the promised one.
    p_S = binom.cdf(wrongs[counts - 1], counts, error)
    proved: list[int] = []
    for start in STARTS:
        for place in range(int(start * len(counts)), len(counts)):
            if p_S[place] > risk / len(STARTS):
                break
            proved.append(place)
    return float(sorted_N[counts[max(proved)] - 1]) if proved else None
