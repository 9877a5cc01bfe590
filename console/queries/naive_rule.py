"""A released version that its naive rule beats: only a first model is held against the rule."""

from __future__ import annotations

from console.queries.versions import ModelVersion
from millrace.evaluation.evidence import Measure
from millrace.evaluation.gates.gate import words_of
from millrace.evaluation.report import Evaluation

BASE_RATE = "base_rate"
RELEASED = ("live", "previous", "retired")


def naive_is_better(version: ModelVersion, evaluation: Evaluation | None) -> str:
    """A sentence where the naive rule does better on the test rows than a version that was released; else empty.

    They are compared as the gate `baseline` does, by the log loss where the rule says how often each class occurs. A
    version that this gate passed beat the rule."""
    if evaluation is None or version.status not in RELEASED:
        return ""
    measure: Measure = "log_loss" if evaluation.naive.rule == BASE_RATE else "error"
    own, naive = evaluation.metrics.get(measure), evaluation.naive.metrics.get(measure)
    if own is None or naive is None or own <= naive or any(gate.name == "baseline" for gate in version.gates):
        return ""
    name, amount = words_of(measure, evaluation.error)
    return (
        f"Version {version.version} is worse than its naive rule by its {name}, {amount(own)} against {amount(naive)}: "
        "as a later model it was held against the version that was live, not against the rule."
    )


def losses_beside(evaluation: Evaluation) -> tuple[float, float] | None:
    """The log loss of a model that is right less often than its naive rule, and the rule's: by these the gate compares
    the two where the model is a first one. None of any model that is right as often."""
    own, naive = evaluation.metrics, evaluation.naive.metrics
    (error, of_rule), (loss, loss_of_rule) = ((own.get(name), naive.get(name)) for name in ("error", "log_loss"))
    if error is None or of_rule is None or loss is None or loss_of_rule is None:
        return None
    return (loss, loss_of_rule) if evaluation.naive.rule == BASE_RATE and error > of_rule else None
