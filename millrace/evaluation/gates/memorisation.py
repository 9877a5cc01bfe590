"""The model has learnt a rule, and not its training rows by heart."""

from __future__ import annotations

from millrace.evaluation.gates.gate import IntervalGate, Share, Verdict, at_most, scaled, unknown
from millrace.evaluation.report import Evaluation


class Memorisation(IntervalGate):
    """Where rows are in time, the gap holds what has changed since the training as well."""

    max_gap: Share
    """Of test error minus train error: a difference of two shares, or a share of the test error where it is an
    amount."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the test error lies at most `max_gap` above the train error."""
        found, bar = report.memorisation, scaled(self.max_gap, report)
        if found is None:
            return unknown("memorisation", bar, "the report holds no error on the training rows")
        amount = report.error.amount
        return at_most(
            "memorisation",
            self.held(found.gap, at_most=True),
            bar,
            warns=self.doubted(found.gap, at_most=True) > bar,
            figure="error on test rows above that on training rows",
            unit=report.error.unit,
            sentence=f"{report.error.name} {amount(found.train_error)} on {found.rows} training rows, on the test rows "
            f"{found.gap.words('+.4g')} above that; at most {bar:+.4g} allowed",
        )
