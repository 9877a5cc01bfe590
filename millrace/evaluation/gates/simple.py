"""The gate `simple`: the network certainly beats a strong simple model that was fitted on the same rows.

A network that does not is not worth its price."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator

from millrace.errors import FieldError
from millrace.evaluation.evidence import Contender, Estimate, Measure
from millrace.evaluation.gates.gate import Gate, Verdict, unknown, unsuited, words_of
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature, TensorKind
from millrace.spelling import one_of
from millrace.tasks.task import Task

TAKES: dict[str, tuple[TensorKind, ...]] = {
    "boosted_trees": ("numbers", "categories", "history"),
    "linear": ("numbers", "categories", "history", "image", "text"),
}
"""The kinds of tensors that each simple model takes; the strongest model comes first."""


def strongest(kinds: Iterable[TensorKind]) -> str:
    """The strongest simple model that takes tensors of all these kinds: `["numbers", "text"]` needs `linear`."""
    wanted = set(kinds)
    return next(kind for kind, taken in TAKES.items() if wanted <= set(taken))


def _known_kind(kind: str) -> str:
    if kind not in TAKES:
        raise FieldError(expected=one_of(kind, TAKES), came=kind)
    return kind


class Simple(Gate):
    """Refuses a network that is not better than a simple model, or warns of it.

    For tables and histories `boosted_trees` is the model to beat. `linear` takes images and texts as well."""

    kind: Annotated[str, AfterValidator(_known_kind)]
    measure: Measure = "error"
    """What the two models are compared by."""
    otherwise: Literal["refuse", "warn"] = "refuse"
    """What happens to a network that is only as good as the simple model, or worse."""

    def misfit(self, task: Task, features: Signature) -> str:
        if task.objective.width > 1 and task.objective.target != "int64":
            return "no such gate, as a row's answer has several numbers"
        if problem := unsuited(self.measure, task):
            return problem
        kinds = dict.fromkeys(spec.kind for spec in features)
        if too_many := [kind for kind in kinds if kind not in TAKES[self.kind]]:
            return f"kind: {strongest(kinds)}, as {self.kind} takes no {' and no '.join(too_many)}"
        return ""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the whole interval of (simple model's error − network's error) is above 0.

        With `otherwise: warn` any other network passes too, with a warning, also of too few days for a comparison. A
        report without a simple model fails, whatever is declared."""
        rival = report.contender("simple")
        gain = rival.improvements.get(self.measure) if rival else None
        if rival is None or gain is None or not math.isfinite(gain.low):
            sentence = f"the report holds no comparison with {self.kind.replace('_', ' ')}, or too few days for one"
            warns = rival is not None and self.otherwise == "warn"
            return replace(unknown(0.0, sentence), passed=warns, is_warning=warns)
        # The verdict holds the lower end of the interval against 0.
        is_better = gain.low > 0
        return Verdict(
            passed=is_better or self.otherwise == "warn",
            is_warning=not is_better and self.otherwise == "warn",
            measured=gain.low,
            bound=0.0,
            sentence=self._sentence(report, rival),
            direction="at_least",
        )

    def _sentence(self, report: Evaluation, rival: Contender) -> str:
        """Whether the network is better, then both errors on the rows that were compared."""
        own, gain = report.contender("candidate"), rival.improvements[self.measure]
        word, amount = words_of(self.measure, report.error)
        found = f"{amount(own.scores[self.measure].value)} against" if own else f"of {rival.name}"
        scored = f"{word} {found} {amount(rival.scores[self.measure].value)} on {rival.rows} rows"
        return f"{_worth(rival.name, gain)}: {scored}"


def _worth(rival: str, gain: Estimate) -> str:
    """Whether the deep model is needed, in words; `gain` is the rival's error minus the deep model's."""
    if gain.low > 0:
        return f"better than {rival} by {gain.value:.4g} (at least {gain.low:.4g})"
    if gain.high < 0:
        return f"worse than {rival} by {-gain.value:.4g} (at least {-gain.high:.4g}), which would do instead"
    interval = f"by {gain.value:.4g}, somewhere from {gain.low:.4g} to {gain.high:.4g}"
    return f"not certainly better than {rival} ({interval}), which would do as well"
