"""The model has learnt a rule, and not its training rows by heart."""

from __future__ import annotations

import math

from millrace.evaluation.gates.gate import IntervalGate, Share, Verdict
from millrace.evaluation.report import Evaluation


class Memorisation(IntervalGate):
    """Where rows are in time, the gap holds what has changed since the training as well."""

    max_gap: Share
    """Of test error minus train error: a difference of two shares, or a share of the test error where it is an
    amount."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the test error lies at most `max_gap` above the train error."""
        found, own = report.memorisation, report.metrics.get("error")
        bar = self.max_gap * (1.0 if report.error.is_share else (math.nan if own is None else own))
        if found is None:
            sentence = "the report holds no error on the training rows"
            return Verdict(name="memorisation", passed=False, measured=math.nan, bound=bar, sentence=sentence)
        measured = self.held(found.gap, at_most=True)
        passed = measured <= bar
        amount = report.error.amount
        return Verdict(
            name="memorisation",
            passed=passed,
            is_warning=passed and found.gap.value > bar,
            measured=measured,
            bound=bar,
            sentence=f"{report.error.name} {amount(found.train_error)} on {found.rows} training rows, on the test rows "
            f"{found.gap.words('+.4g')} above that; at most {bar:+.4g} allowed",
        )
