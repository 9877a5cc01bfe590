"""The gate `selective`: enough answers are so sure that they can be used without a person, at a promised error."""

from __future__ import annotations

import math

from millrace.evaluation.evidence import SelectiveEvidence
from millrace.evaluation.gates.gate import IntervalGate, Share, Verdict
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.tasks.answer import has_confidence
from millrace.tasks.task import Task


class Selective(IntervalGate):
    """Refuses a model with too few sure answers: `{max_error: 0.05, min_coverage: 0.6}`.

    An answer is used if its confidence reaches a threshold. The threshold is found on the validation rows (learn then
    test, Angelopoulos et al. 2021) and tried on the test rows. The promised error holds for rows like the validation
    rows. It does not hold while the rows drift."""

    evidence = SelectiveEvidence

    max_error: Share
    """The promised error: the largest share of the used answers that may be wrong."""
    min_coverage: Share
    """The smallest share of the rows whose answer must be used."""
    risk: Share = 0.05
    """The largest probability that the promise is broken on rows like the validation rows."""

    def misfit(self, task: Task, features: Signature) -> str:
        return "" if has_confidence(task) and task.error_is_share else "a task whose answers have a confidence"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the coverage is at least `min_coverage` and the error of the used answers at most `max_error`.

        Both are of the test rows. If no threshold keeps the promise on the validation rows, the gate refuses."""
        found, bar = report.of(SelectiveEvidence), self.min_coverage
        if found is None or found.threshold is None:
            sentence = f"no confidence of the validation rows promises an error of at most {self.max_error:.1%}"
            return Verdict(passed=False, measured=0.0, bound=bar, sentence=sentence)
        coverage, error = self.held(found.coverage, at_most=False), self.held(found.error, at_most=True)
        passed = coverage >= bar and error <= self.max_error
        # A warning if the figure itself, or the error's upper end, is on the wrong side.
        is_over = found.coverage.value < bar or not found.error.high <= self.max_error
        return Verdict(
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
