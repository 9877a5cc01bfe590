"""Enough answers are sure enough to be used without a person, at a promised error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from millrace.evaluation.gates.gate import IntervalGate, Share, Verdict
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Selective(IntervalGate):
    """The threshold of the confidence is found on the validation rows (learn then test, Angelopoulos et al. 2021), and
    tried on the test rows. The promise is of rows like those: while they drift it does not hold."""

    max_error: Share
    """Of the answers that are used."""
    min_coverage: Share
    """Share of the rows whose answer is used."""
    risk: Share = 0.05
    """How probable it may be that the promise is broken on rows like the validation rows."""

    def misfit(self, task: Task, features: Signature) -> str:
        has_confidence = any(field.name == "confidence" for field in task.answer)
        return "" if has_confidence and task.error_is_share else "a task whose answers have a confidence"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the coverage is at least `min_coverage` and the error on the used test rows at most
        `max_error`."""
        found, bar = report.selective, self.min_coverage
        if found is None or found.threshold is None:
            sentence = f"no confidence of the validation rows promises an error of at most {self.max_error:.1%}"
            return Verdict(name="selective", passed=False, measured=0.0, bound=bar, sentence=sentence)
        coverage, error = self.held(found.coverage, at_most=False), self.held(found.error, at_most=True)
        passed = coverage >= bar and error <= self.max_error
        is_over = found.coverage.value < bar or not found.error.high <= self.max_error
        return Verdict(
            name="selective",
            passed=passed,
            is_warning=passed and is_over,
            measured=coverage if not math.isnan(error) else math.nan,
            bound=bar,
            figure="answers that are used",
            unit="%",
            direction="at_least",
            sentence=f"{found.coverage.words('.1%')} of the answers are used, from a confidence of "
            f"{found.threshold:.3f} on; at least {bar:.1%} required; {found.error.words('.1%')} of them are wrong, at "
            f"most {self.max_error:.1%} allowed",
        )
