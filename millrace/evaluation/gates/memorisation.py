"""The gate `memorisation`: the model has learnt a rule, and not its training rows by heart."""

from __future__ import annotations

from millrace.evaluation.gates.gate import IntervalGate, Share, Verdict, at_most, scaled, unknown
from millrace.evaluation.report import Evaluation


class Memorisation(IntervalGate):
    """Refuses a model whose error on test rows is far above its error on training rows.

    If rows are in the order of time, the gap also contains what has changed since the training."""

    max_gap: Share
    """The largest gap, test error minus train error.

    It is a difference of two shares; for an error that is an amount, a share of the test error."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the test error lies at most `max_gap` above the train error; a report without the gap fails."""
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
