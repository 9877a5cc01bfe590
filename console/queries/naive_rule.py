"""A released version that its naive rule beats: only a first model is held against the rule."""

from __future__ import annotations

from console.queries.versions import ModelVersion
from millrace.evaluation.report import Evaluation

RELEASED = ("live", "previous", "retired")


def naive_is_better(version: ModelVersion, evaluation: Evaluation | None) -> str:
    """A sentence where the naive rule errs less on the test rows than a version that was released; else empty.

    A version that the gate `baseline` passed beat the rule by the measure of that gate."""
    if evaluation is None or version.status not in RELEASED:
        return ""
    own, naive = evaluation.metrics.get("error"), evaluation.naive.metrics.get("error")
    if own is None or naive is None or own <= naive or any(gate.name == "baseline" for gate in version.gates):
        return ""
    error = evaluation.error
    return (
        f"Version {version.version} is worse than its naive rule by its {error.name}, {error.amount(own)} against "
        f"{error.amount(naive)}: as a later model it was held against the version that was live, not against the rule."
    )
