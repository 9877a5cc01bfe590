"""What the curves, the comparisons and the slices of a report say to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.evaluation.evidence import Contender, Estimate, LearningEvidence
from millrace.evaluation.gates.slices import SlicesEvidence
from millrace.messages.train import NextStep

if TYPE_CHECKING:
    from millrace.evaluation.gates.gate import Verdict
    from millrace.evaluation.report import ChampionComparison, Evaluation
    from millrace.models.parameters import Parameters
    from millrace.workload.declaration import Workload

STILL_FALLING = 0.02
"""The loss still falls if so much of its whole fall came in the last quarter of the epochs."""
LATE = 4
"""One epoch in LATE counts as late."""
FAR = 1.5
"""A slice is far worse if the lower end of its error is more than FAR times the error of all rows."""
MOST_ROWS = 20
"""More rows are advised if at most MOST_ROWS times as many decide the comparison."""
MOST_EPOCHS = 1000
"""The most that a family takes."""
LESS = 10
"""The divisor of a learning rate at which the training went astray."""
WITHOUT_STEP = ("latency", "size", "freshness", "split")
"""Gates that no better answer passes, and the warning of a split, which says its own step."""
VOID = ("champion", "finite_weights")
"""Gates that say why the other figures are void."""
TREES = "boosted trees"
"""The name of the contender that can stand beside a network."""


def learning_of(history: Sequence[Mapping[str, Any]]) -> LearningEvidence | None:
    """The evidence of a training's history, with `validation_loss` by epoch; None without epochs or a finite loss."""
    losses = [float(epoch["validation_loss"]) for epoch in history]
    if not losses or not all(map(math.isfinite, losses)):
        return None
    best = min(range(len(losses)), key=losses.__getitem__)
    late = len(losses) - max(1, len(losses) // LATE)
    before = min(losses[:late], default=losses[0])
    return LearningEvidence(
        epochs=len(losses),
        best_epoch=best,
        fall=losses[0] - losses[best],
        late_fall=max(0.0, before - losses[best]),
    )


def next_step(report: Evaluation, verdicts: Sequence[Verdict], workload: Workload, *, rows: int) -> NextStep | None:
    """The step that is most likely to help; None if no gate refused or warned, or only one on speed, size or age.

    `rows` is the number of rows that the model was made of, those of validation and test included."""
    parameters = workload.training.family_parameters()
    lacking = [one for one in verdicts if (not one.passed or one.is_warning) and one.name not in WITHOUT_STEP]
    # What could not be measured, such as a bound of too few test days, no other model mends.
    found = {one.name for one in lacking if not math.isnan(one.measured) or one.name in VOID}
    if not found:
        return None
    # The first step that the report gives a reason for: causes that make all other figures void come first.
    if "champion" in found:
        return NextStep(kind="train_again", words=("train", "--wait"))
    if "finite_weights" in found:
        rate = f"learning_rate={parameters.learning_rate / LESS:.3g}"
        return NextStep(kind="lower_rate", words=("tune", "--parameter", rate, "--wait"))
    measure = workload.gates.simple.measure if workload.gates.simple else "error"
    gain = rival.improvements.get(measure) if (rival := report.contender("simple")) else None
    steps = (
        _past(workload) if "baseline" in found else None,
        _scale(report, parameters) if "cut_answers" in found else None,
        _longer(report, parameters),
        _trees(rival, gain, parameters),
        _slice(report),
        _rows(gain if "simple" in found else None, report.champion if "non_inferiority" in found else None, rows),
    )
    return next(filter(None, steps), NextStep(kind="tune", words=("tune", "--wait")))


def _past(workload: Workload) -> NextStep | None:
    """The past, if the rule to beat looks back and the model does not."""
    prediction, hours = workload.prediction, workload.gates.baseline.label_age_hours
    if prediction.horizon_hours or any(feature.history for feature in prediction.features):
        return None
    return NextStep(kind="look_back", words=("report",), hours=hours) if 0 < hours < math.inf else None


def _scale(report: Evaluation, parameters: Parameters) -> NextStep | None:
    """The logarithm of the label, if answers are cut where no label may be negative."""
    is_cut = any(cut.is_lower and cut.bound >= 0 for cut in report.cut_answers)
    if parameters.label_scale != "identity" or not is_cut:
        return None
    return NextStep(kind="change_scale", words=("tune", "--parameter", "label_scale=log", "--wait"))


def _longer(report: Evaluation, parameters: Parameters) -> NextStep | None:
    found = report.learning
    if found is None or found.epochs < parameters.epochs or found.epochs >= MOST_EPOCHS:
        return None  # a training that `patience` ended has stopped to fall
    if found.late_fall <= STILL_FALLING * found.fall:
        return None
    epochs = f"epochs={min(MOST_EPOCHS, 2 * found.epochs)}"
    words = ("tune", "--parameter", epochs, "--wait")
    return NextStep(kind="train_longer", words=words, epochs=found.epochs)


def _trees(rival: Contender | None, gain: Estimate | None, parameters: Parameters) -> NextStep | None:
    """The best with trees, if they are certainly better and the family can have them beside it."""
    can_have = getattr(parameters, "trees", "") == "none" and not parameters.class_balance
    if rival is None or gain is None or rival.name != TREES or not can_have or not gain.high < 0:
        return None
    words = ("tune", "--parameter", "trees=best", "--wait")
    return NextStep(kind="add_trees", words=words, rival=rival.name)


def _slice(report: Evaluation) -> NextStep | None:
    of_all = report.metrics.get("error")
    slices = evidence.slices if (evidence := report.of(SlicesEvidence)) else ()
    judged = [(one.error, one) for one in slices if one.error is not None]
    far = [(error, one) for error, one in judged if of_all is not None and error.low > FAR * of_all]
    if not far:
        return None
    error, worst = max(far, key=lambda each: each[0].low)
    return NextStep(
        kind="look_at_slice",
        words=("report",),
        rows=worst.rows,
        slice=f"{worst.column} = {worst.value}",
        error=error.value,
        error_of_all=of_all,
    )


def _rows(gain: Estimate | None, champion: ChampionComparison | None, rows: int) -> NextStep | None:
    """How many rows would make a comparison certain in which the model is the better one.

    An interval is as wide as one over the square root of the rows."""
    pairs = [(gain.value, gain.value - gain.low)] if gain else []
    if champion:
        pairs.append((champion.difference, champion.difference - champion.lower_bound))
    # The model is better, by less than the interval reaches down.
    factors = [(half / value) ** 2 for value, half in pairs if 0 < value < half]
    if not factors or max(factors) > MOST_ROWS:
        return None
    words = ("drop", "more.csv", "--feed", "training", "--wait")
    return NextStep(kind="more_rows", words=words, rows=_round(rows * max(factors)))


def _round(rows: float) -> int:
    """The number with two digits, rounded up."""
    unit = 10.0 ** max(0, math.floor(math.log10(rows)) - 1)
    return int(math.ceil(rows / unit) * unit)
