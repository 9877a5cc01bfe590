"""Finds the confidence from which on answers keep a promised error, and tries it on the test rows.

Learn then test (Angelopoulos, Bates, Candès, Jordan and Lei 2021): candidate thresholds are tested one after the other,
from a start towards lower thresholds, until one is not proved. Each test is a binomial tail. The start is where the
model's own confidences promise most; labels have no part in it, so the whole risk goes to one series of tests, and the
promise holds however wrong the confidences are. Axes: N rows, S candidate thresholds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from millrace.evaluation.evidence import AutomationEvidence, Estimate, SelectiveEvidence
from millrace.evaluation.gates.selective import Selective
from millrace.evaluation.measures.case import Case
from millrace.features.catalogue import encode
from millrace.tasks.answer import CONFIDENCE
from millrace.workload.policy import Policy

Floats = npt.NDArray[np.float64]

NEARLY = 0.9
"""The series starts at the lowest threshold with so much of the best promise. Chosen on simulated populations."""
RISK = 0.05
"""The largest probability that the error promised by a policy is exceeded on rows like the validation rows."""


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

    The validation rows also gave the model's temperature. A binomial tail takes rows for independent, so of each
    declared entity one row counts, drawn by chance."""
    rows = case.parts.validation
    output_NW = case.outputs(encode(case.features, case.part(rows)))
    held_N = case.task.answers(output_NW)[CONFIDENCE].astype(np.float64)
    wrong_N = case.task.errors(output_NW, case.target_N[rows])
    if case.entity_N is not None:
        order_N = np.random.default_rng(0).permutation(len(held_N))
        one_E = order_N[np.unique(case.entity_N[rows][order_N], return_index=True)[1]]
        held_N, wrong_N = held_N[one_E], wrong_N[one_E]
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
    wrongs, sorted_N = np.cumsum(wrong_N[order]), confidence_N[order]
    # How many wrong answers among so many prove the promise. A candidate uses the fewest rows that allow one more.
    allowed_N = binom.ppf(risk, np.arange(1, len(order) + 1), error) - 1
    steps = np.flatnonzero(np.diff(allowed_N, prepend=-1) > 0)
    if not len(steps):
        return None
    # Rows of equal confidence are used together.
    counts_S = np.unique(np.searchsorted(-sorted_N, -sorted_N[steps], side="right"))
    # The p-value of each candidate: the probability of so few wrong answers if the error were just above the promise.
    is_proved_S = binom.cdf(wrongs[counts_S - 1], counts_S, error) <= risk
    start = _start(sorted_N, counts_S, allowed_N[counts_S - 1])
    # No further correction is needed, since the series ends at the first candidate that is not proved.
    unproved = np.flatnonzero(~is_proved_S[start:])
    last = start + (unproved[0] if len(unproved) else len(counts_S) - start) - 1
    return float(sorted_N[counts_S[last] - 1]) if last >= start else None


def _start(sorted_N: Floats, counts_S: npt.NDArray[np.intp], allowed_S: Floats) -> int:
    """The place of the first candidate to test, by the confidences alone.

    If they are true, each candidate has an expected number of wrong answers and its deviation. The more deviations
    there are from it to the number allowed, the likelier is the proof."""
    wrong_S = np.cumsum(1 - sorted_N)[counts_S - 1]
    deviation_S = np.sqrt(np.cumsum(sorted_N * (1 - sorted_N))[counts_S - 1] + 1e-9)
    # Halfway to the next whole number, as a normal curve stands for a binomial one.
    away_S = (allowed_S + 0.5 - wrong_S) / deviation_S
    best = int(away_S.argmax())
    return int(np.flatnonzero(away_S >= NEARLY * away_S[best])[-1]) if away_S[best] > 0 else best
