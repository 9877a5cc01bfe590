"""What a new version brought in money: its error and that of the version before on the same labels, times a price."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.evaluation.report import ChampionComparison, Evaluation

UNIT = "USD"
ROWS = 1000
"""An evaluation has the costs of so many rows."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What the difference of two versions' errors on the same recent labels is worth."""

    compared: ChampionComparison
    price: float | None
    """What an error costs; for an amount what one of its units costs. None if nobody has declared it."""
    currency: str = UNIT

    def of(self, answers: int) -> float | None:
        """What so many answers save if the difference holds."""
        better = self.compared.error - self.compared.challenger_error
        return None if self.price is None else better * self.price * answers

    def least_of(self, answers: int) -> float | None:
        """What they save at least, with 95 %."""
        return None if self.price is None else self.compared.lower_bound * self.price * answers

    def words(self, usd: float) -> str:
        """What 1,000 answers save, and how many pay for a training of so many US dollars."""
        before = self.compared
        now = f"{before.challenger_error:.4f} now on the same {before.rows:,} labels"
        errors = f"error {before.error:.4f} of version {before.model_version}, {now}"
        saved, least = self.of(1000), self.least_of(1000)
        if saved is None or least is None:
            return f"{errors}; what an error costs is not declared (retraining.usd_per_error)"
        pays = saved > 0 and self.currency == UNIT
        paid = f", so {max(usd / saved * 1000, 1):,.0f} pay for the training" if pays else ""
        return f"{errors}: 1,000 answers save {saved:.2f} {self.currency} (at least {least:.2f}){paid}"


def gain_of(evaluation: Evaluation | None, usd_per_error: float | None) -> Gain | None:
    """None for a version that was compared with none, or by another measure than its error."""
    if evaluation is None or evaluation.champion is None or evaluation.champion.measure != "error":
        return None
    # Costs that depend on the class have a mean by the wrong answers of the version's own test rows.
    costs, error = evaluation.costs, evaluation.metrics.get("error")
    price = costs.all_automated.measured.value / ROWS / error if costs and error else usd_per_error
    return Gain(compared=evaluation.champion, price=price, currency=costs.currency if costs else UNIT)
