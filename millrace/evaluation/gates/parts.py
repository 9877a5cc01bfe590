"""The gate `parts`: each horizon of a forecast, or each of several labels, is better than the naive rule.

A good mean over all parts is not enough."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from millrace.evaluation.evidence import PartFigures
from millrace.evaluation.gates.gate import Gate, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.tasks.answer import has_parts
from millrace.tasks.task import Task


class Parts(Gate):
    """Refuses a model whose worst part is too bad: `{margin: 0.05}`.

    In the example the error at every horizon must be 5 % below the naive rule's."""

    margin: Annotated[float, Field(ge=0, lt=1)]
    """By how much the worst part must beat the naive rule, as a share of the rule's figure.

    The figure is the log loss for labels that are yes or no, and the error for other parts."""

    def misfit(self, task: Task, features: Signature) -> str:
        return "" if has_parts(task) else "no such gate, as a row's answer is one"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the worst part keeps the margin; a missing figure fails."""
        if not (judged := report.parts):
            return unknown(self.margin, "the report holds no figures of the parts")
        gains = [_gain(part) for part in judged]
        # The part with the least gain is the worst; a part without a finite gain is worse than all.
        worst = min(range(len(judged)), key=lambda at: gains[at] if math.isfinite(gains[at]) else -math.inf)
        name, own, naive = _compared(judged[worst])
        sentence = (
            f"{judged[worst].name}, the worst of {len(judged)}: {name} {own:.4g} against {naive:.4g} of the naive "
            f"rule, {gains[worst]:.1%} below it; at least {self.margin:.1%} required"
        )
        return Verdict(
            passed=gains[worst] >= self.margin,
            measured=gains[worst],
            bound=self.margin,
            sentence=sentence,
            figure=f"{name} of {judged[worst].name} below the naive rule's",
            unit="%",
            direction="at_least",
        )


def _compared(part: PartFigures) -> tuple[str, float, float]:
    """The name of the figure that is compared, the part's own figure and the naive rule's; NaN if one is missing."""
    name = "log_loss" if "log_loss" in part.figures else "error"
    own, naive = (math.nan if each.get(name) is None else float(each[name] or 0) for each in (part.figures, part.naive))
    return name.replace("_", " "), own, naive


def _gain(part: PartFigures) -> float:
    """How far the part's figure lies below the rule's, as a share of the rule's.

    NaN if either figure is missing, or if the rule's is 0."""
    _, own, naive = _compared(part)
    return 1 - own / naive if naive else math.nan
