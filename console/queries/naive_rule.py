"""How a released version and its naive rule compare."""

from __future__ import annotations

from collections.abc import Sequence

from console.queries.versions import ModelVersion
from millrace.evaluation.naive.catalogue import measure_of
from millrace.evaluation.report import Evaluation


def losses_beside(evaluation: Evaluation) -> tuple[float, float] | None:
    """The log loss of the model, and of its naive rule, if the model is right less often than the rule; else None.

    By these losses the gate compares both if the model is a first one."""
    own, naive = evaluation.metrics, evaluation.naive.metrics
    (error, of_rule), (loss, loss_of_rule) = ((own.get(name), naive.get(name)) for name in ("error", "log_loss"))
    if error is None or of_rule is None or loss is None or loss_of_rule is None:
        return None
    by_loss = measure_of(evaluation.naive.rule) == "log_loss"
    return (loss, loss_of_rule) if by_loss and error > of_rule else None


def newer_rows_of_rule(version: ModelVersion, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The last of the evaluations that compares its model with this version, if the naive rule errs less on the same
    rows than this version does; else None.

    `evaluations` are in the order of time. Rows are the same if both figures are of equally many, and figures are
    compared if the error is what the gate compares both by."""
    compared = [each for each in evaluations if each.champion and each.champion.model_version == version.version]
    if not compared or compared[-1].champion is None:
        return None
    champion, naive = compared[-1].champion, compared[-1].naive
    of_rule, is_same = naive.metrics.get("error"), naive.rows == champion.rows
    by_error = champion.measure == measure_of(naive.rule) == "error"
    return compared[-1] if is_same and by_error and of_rule is not None and of_rule < champion.error else None
