"""Each horizon of a forecast, each of several labels, is better than the naive rule, not their mean alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from millrace.evaluation.evidence import PartFigures
from millrace.evaluation.gates.gate import Gate, Share, Verdict, unknown
from millrace.evaluation.report import Evaluation
from millrace.tasks.answer import has_parts

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Parts(Gate):
    """Example: `{margin: 0.05, max_coverage_gap: 0.1}`: at every horizon the error is 5 % below the naive rule's, and
    the share of labels in the interval at most 0.1 from the declared one."""

    margin: Annotated[float, Field(ge=0, lt=1)]
    """By how much the worst part must beat the rule, as a share of the rule's figure: of labels that are yes or no the
    log loss, of others the error."""
    max_coverage_gap: Share | None = None
    """Of an answer with an interval: how far its coverage may be from the declared one."""
    only: tuple[str, ...] = ()
    """The parts that are judged, such as `24 h`; all where none is named."""

    def misfit(self, task: Task, features: Signature) -> str:
        if not has_parts(task):
            return "no such gate, as a row's answer is one"
        if unknown := sorted(set(self.only) - set(task.part_names)):
            return f"only: some of {', '.join(task.part_names)}, and none called {', '.join(unknown)}"
        if self.max_coverage_gap is not None and task.error_is_share:
            return "no max_coverage_gap, as an answer has no interval"
        return ""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the worst part keeps the margin and the worst interval the gap; a missing figure fails."""
        judged = [part for part in report.parts if not self.only or part.name in self.only]
        if not judged or len(judged) < len(self.only):
            sentence = "the report holds no figures of the parts"
            return unknown("parts", self.margin, sentence)
        gains = [_gain(part) for part in judged]
        # NaN is the worst of all.
        worst = min(range(len(judged)), key=lambda at: gains[at] if math.isfinite(gains[at]) else -math.inf)
        name, own, naive = _compared(judged[worst])
        sentence = (
            f"{judged[worst].name}, the worst of {len(judged)}: {name} {own:.4g} against {naive:.4g} of the naive "
            f"rule, {gains[worst]:.1%} below it; at least {self.margin:.1%} required"
        )
        passed = gains[worst] >= self.margin
        if self.max_coverage_gap is not None:
            widest, gap = max(((part, _gap(part)) for part in judged), key=lambda one: one[1])
            sentence += (
                f"; coverage of {widest.name} is {gap:.1%} from the declared one, {self.max_coverage_gap:.1%} allowed"
            )
            passed = passed and gap <= self.max_coverage_gap
        return Verdict(
            name="parts",
            passed=passed,
            measured=gains[worst],
            bound=self.margin,
            sentence=sentence,
            figure=f"{name} of {judged[worst].name} below the naive rule's",
            unit="%",
            direction="at_least",
        )


def _compared(part: PartFigures) -> tuple[str, float, float]:
    """Which figure is held against the naive rule's, the part's own one and the rule's; NaN for one that is missing."""
    name = "log_loss" if "log_loss" in part.figures else "error"
    own, naive = (math.nan if each.get(name) is None else float(each[name] or 0) for each in (part.figures, part.naive))
    return name.replace("_", " "), own, naive


def _gain(part: PartFigures) -> float:
    """1 - the part's figure over the rule's."""
    _, own, naive = _compared(part)
    return 1 - own / naive if naive else math.nan


def _gap(part: PartFigures) -> float:
    gap = part.figures.get("coverage_gap")
    return math.inf if gap is None or not math.isfinite(gap) else gap
