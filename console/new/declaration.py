"""Writes the proposal as the text of `workload.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from console.new.families import Family, suited
from console.new.kinds.catalogue import LABEL_KINDS
from console.new.margin import CONFIDENCE, least, margin
from console.new.prediction import ProposedPrediction, remark, word
from console.new.spans import Naive, Spans
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.evaluation.gates.simple import strongest
from millrace.workload.declaration import Card

if TYPE_CHECKING:
    from millrace.features.signature import TensorKind

RECENT_DAYS = 90
"""Days of rows on which a later model is compared with the live one, if the rows are not split by days."""
VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2
EVEN = 0.2
"""Classes may weigh the same in training if at least this share of the rows is outside the most frequent class."""
REMARKS = {"huber": "   # of a label with a tail: errors count in proportion, as the gates judge them"}
WINDOW = "a window, the days of decisions that are judged together"
FIRST_SHARE = 0.9
"""Share of the file's rows that starts the first training. Below 1, so a drop with a few rows less starts it too."""


def workload_document(
    prediction: ProposedPrediction, spans: Spans, naive: Naive, *, source: str, rows: int, stretches: int = 0
) -> str:
    """The text of `workload.yaml`.

    `source` is the name of the file and `rows` the number of its rows that the contract accepts. `stretches` is the
    number of stretches of windows that a bound on the error rests on."""
    first_rows, share = max(1, int(FIRST_SHARE * rows)), f"{FIRST_SHARE:.0%}"
    family = suited(
        rows=rows,
        image_side=prediction.image_side,
        has_history=prediction.has_history,
        texts=len(prediction.texts),
        # Neither text, image nor history: these have networks or trunks of their own.
        columns=len(prediction.declared) - len(prediction.texts) - bool(prediction.image_side) - prediction.has_history,
        is_ordered=prediction.is_in_time or prediction.is_in_order,
        has_even_classes=_has_even_classes(prediction, naive),
    )
    question = f"Will {prediction.label} be {prediction.positive}?"
    if prediction.positive is None:
        ahead = f" be in {prediction.horizon_hours:g} hours" if prediction.horizon_hours else ""
        question = f"What will {prediction.label}{ahead}?" if ahead else f"What is {prediction.label}?"
    days = f", {spans.days:,} days" if prediction.is_in_time else ""
    return "\n".join([
        *remark(question),
        *remark(f"Proposed from {rows:,} rows of {source}{days}; every line is yours to change."),
        f"name: {prediction.name}",
        f"owner: {word(prediction.owner)}",
        "prediction:",
        *_prediction(prediction),
        "training:",
        f"  family: {family.name}   # {family.why}",
        f"  parameters: {family.parameters}",
        *_split(prediction, spans),
        f"  first_rows: {first_rows}   # rows, also without a label, that start the first training: {share} of them",
        "  instance: {local: ml.m5.large, dev: ml.m5.xlarge, prod: ml.m5.xlarge}   # ml.g5.xlarge has a GPU",
        "  max_runtime_minutes: 60",
        "gates:                      # what a model must pass before it goes live",
        *_gates(prediction, family, spans, naive),
        "rollout:",
        "  phases: [live]",
        "  instance: {local: ml.m5.large, dev: ml.m5.large, prod: ml.c6i.xlarge}",
        "  max_instances: 2          # one runs day and night, in prod two",
        "  invocations_per_instance: 1000   # per minute, the target of the autoscaling",
        "monitors:",
        f"  window_days: {spans.window_days}   # {_windows(prediction, spans)}",
        "  schedule: cron(0 6 ? * MON *)",
        "  false_alarm_rate: 0.01    # per window, all columns together",
        f"  error_windows: 3          # so many bad ones in a row raise the error alarm; {_known(stretches)}",
        "retraining:",
        "  schedule: cron(0 7 1 1,4,7,10 ? *)   # held by the three bounds below",
        f"  cool_down_days: {max(7, 4 * spans.window_days)}",
        f"  minimum_new_labels: {max(50, rows // 20)}",
        "  maximum_runs_per_month: 4",
        "budget:",
        "  monthly_usd: 50           # a training run that would go beyond it does not start",
        "# card:                     # dev and prod want it, for the model card of each version; only you can say it:",
        *(f"#   {name}: " for name in Card.model_fields),
        "",
    ])  # fmt: skip


def _has_even_classes(prediction: ProposedPrediction, naive: Naive) -> bool:
    """Whether the label is a class and no class has nearly all rows.

    Without a lag the naive rule answers the most frequent class, so its error is the share of all other rows."""
    return bool(LABEL_KINDS[prediction.task].calibration) and naive.lag_hours is None and naive.error >= EVEN


def _prediction(prediction: ProposedPrediction) -> Iterator[str]:
    kind = LABEL_KINDS[prediction.task]
    yield f"  task: {prediction.task}"
    for key, value in prediction.settings.items():
        yield f"  {key}: {word(value)}{REMARKS.get(key, '')}"
    if prediction.horizon_hours:
        # A history has the distance of the rows as its step, and leaves it out if it is one hour.
        every = next((each.get("every_hours", 1.0) for each in prediction.derived if "history" in each), 1.0)
        ahead = {"column": prediction.label, "horizon_hours": kind.horizon(prediction.horizon_hours, every)}
        yield f"  label: {word(ahead)}   # the label of the row of the same entity so many hours later"
    else:
        yield f"  label: {word(prediction.label)}"
    if prediction.positive is not None:
        yield f"  positive: {word(prediction.positive)}   # an answer of 1 means this"
    yield f"  key: {word(list(prediction.key))}   # what tells one row from another; labels find their rows by it"
    came = (
        "the moment that a row is about" if prediction.is_in_time else "generated: that of the drop or of the request"
    )
    yield f"  event_time: {word(prediction.event_time)}   # {came}"
    if not prediction.derived and not prediction.texts:
        yield f"  features: {word(list(prediction.features))}"
        return
    yield "  features:"
    for feature in prediction.declared:
        yield f"    - {word(feature)}"


def _split(prediction: ProposedPrediction, spans: Spans) -> Iterator[str]:
    hashed = f"{{by: key_hash, validation_share: {VALIDATION_SHARE}, test_share: {TEST_SHARE}}}"
    if prediction.split_column:
        by = f"by: column, column: {word(prediction.split_column)}, absent: {hashed}"
        yield f"  split: {{{by}}}   # rows without a part by the hash of their key"
        yield "  walk_forward_steps: 0"
    elif prediction.is_in_order:
        by = f"by: row_order, validation_share: {VALIDATION_SHARE}, test_share: {TEST_SHARE}"
        yield f"  split: {{{by}}}   # the last rows test, those before them validate"
        yield "  walk_forward_steps: 0"
    elif not prediction.is_in_time:
        yield f"  split: {hashed}   # a row is in one part for ever"
        yield "  walk_forward_steps: 0"
    else:
        yield f"  validation_days: {spans.validation_days}   # before the test days: early stopping, calibration"
        needed = f"; {FEWEST_BLOCKS} compare a later model with the live one" if not spans.are_comparable else ""
        yield f"  test_days: {spans.test_days}   # the last days: the gates judge on them{needed}"
        told = "the walk forward: so many models of earlier days show how the error moves in the days after"
        yield f"  walk_forward_steps: {spans.walk_forward_steps}     # {told}"


def _gates(prediction: ProposedPrediction, family: Family, spans: Spans, naive: Naive) -> Iterator[str]:
    kind = LABEL_KINDS[prediction.task]
    rule = kind.naive_rule(naive.lag_hours)
    gate = word({"kind": rule.kind} | rule.model_dump())
    yield f"  baseline: {gate}   # better than {naive.rule}, which {naive.said}"
    if kind.calibration:
        yield f"  calibration: {{max_ece: {kind.calibration}}}"
    yield "  latency: {max_p99_ms: 50}"
    yield f"  size: {{max_mb: {family.max_mb}}}"
    # A later model is compared on as many days as test, but on no fewer than an interval of errors needs.
    recent = max(spans.test_days, FEWEST_BLOCKS) if spans.test_days else RECENT_DAYS
    # Models of a rare class hardly differ in their share of wrong answers, so they are compared by the log loss.
    measure = ", measure: log_loss" if naive.has_rare_class else ""
    held = f"recent_days: {recent}, margin: {margin(naive)}, confidence: {CONFIDENCE}{measure}"
    yield f"  non_inferiority: {{{held}}}   # to the live model{_why_wide(naive)}"
    if "quantiles" not in prediction.settings:  # an answer of several numbers has no simple rival
        special: dict[TensorKind, bool] = {
            "history": prediction.has_history,
            "text": bool(prediction.texts),
            "image": bool(prediction.image_side),
        }
        # Nearly every table has numbers and categories, so the rival must take both.
        rival = strongest(["numbers", "categories", *(kind for kind, is_there in special.items() if is_there)])
        told = "says of each model whether a simple one is enough"
        yield f"  simple: {{kind: {rival}, otherwise: warn{measure}}}   # {told}"


def _why_wide(naive: Naive) -> str:
    if margin(naive) == least(naive):
        return ""
    return f"; on {naive.rows:,} test rows a smaller margin often refuses a model that is as good"


def _windows(prediction: ProposedPrediction, spans: Spans) -> str:
    if not prediction.is_in_time:
        return f"{WINDOW}: random parts of the file set the bounds, as its rows have no times"
    return f"{WINDOW}: {spans.windows} of them in the file set the bounds"


def _known(stretches: int) -> str:
    return f"{stretches} such rows of windows are known from the walk forward"
