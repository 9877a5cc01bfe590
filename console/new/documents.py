"""The proposal as the two files that a workload is: `contract.yaml` and `workload.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from console.new.spans import Naive, Spans
from millrace.contract.kinds import Kind
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table

TYPES: dict[Kind, tuple[str, str]] = {
    "int64": ("integer", "BIGINT"),
    "float64": ("number", "DOUBLE"),
    "string": ("string", "STRING"),
    "boolean": ("boolean", "BOOLEAN"),
    "date": ("date", "DATE"),
    "timestamp": ("timestamp", "TIMESTAMP"),
    "timestamp_utc": ("timestamp", "TIMESTAMP"),
}
SMALL_ROWS = 5_000


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The prediction: label, features, keys."""

    name: str
    owner: str
    label: str
    positive: str | int | bool
    key: tuple[str, ...]
    event_time: str
    features: tuple[str, ...]


def contract_document(surface: Surface, rows: Table, *, source: str, rows_seen: int) -> str:
    """`contract.yaml`."""
    remark = f"What a row of {surface.name} must be, proposed from {rows_seen:,} rows of {source}; yours to change."
    lines = [
        *_remark(remark),
        "# Ranges leave room for a quarter of what was seen; a row outside of them is quarantined with its reason.",
        "# `rows` is the feed `training`; without the column whose role is `label` it is the feed `scoring`.",
        "# `labels` is the feed `labels`: truth that arrives later.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: millrace-{surface.name.replace('_', '-')}",
        f"name: {surface.name}",
        "version: 1.0.0",
        "status: draft                 # active, once you stand behind it",
        "description:",
        f"  purpose: {_word(f'Predict {surface.label}.')}",
        f"  usage: {_word(f'Training, scoring and late labels of the workload {surface.name}.')}",
        "schema:",
        *_object("rows", "One row for each thing to predict.", rows.columns, surface.key),
    ]
    names = dict.fromkeys([*surface.key, surface.event_time, surface.label])
    columns = (
        *(rows.column(name) for name in names),
        Column(name="prediction_id", kind="string", rules=(Length(maximum=128),)),
    )
    lines += _object("labels", "One row for each thing whose truth has become known.", columns, surface.key)
    return "\n".join([*lines, ""])


def workload_document(surface: Surface, spans: Spans, naive: Naive, *, source: str, first_rows: int) -> str:
    """`workload.yaml`."""
    small = first_rows < SMALL_ROWS
    rule = "{kind: base_rate, margin: 0.02}   # log loss 2 % below that of always answering the share of positive rows"
    if naive.lag_hours:
        kind = f"kind: seasonal_naive, lag_hours: {naive.lag_hours}, margin: 0.01"
        rule = f"{{{kind}}}   # accuracy above the label {naive.lag_hours} hours before: {naive.accuracy:.1%}"
    return "\n".join([
        *_remark(f"Will {surface.label} be {surface.positive}?"),
        *_remark(f"Proposed from {first_rows:,} rows of {source}, {spans.days:,} days; every line is yours to change."),
        f"name: {surface.name}",
        f"owner: {_word(surface.owner)}",
        "prediction:",
        "  task: binary",
        f"  label: {_word(surface.label)}",
        f"  positive: {_word(surface.positive)}   # an answer of 1 means this",
        f"  key: {_word(list(surface.key))}   # what tells one row from another; labels find their rows by it",
        f"  event_time: {_word(surface.event_time)}   # the moment that a row is about",
        f"  features: {_word(list(surface.features))}",
        "training:",
        "  family: feedforward",
        f"  parameters: {{hidden: [64, 64], epochs: {60 if small else 30}, batch_size: {64 if small else 256}, "
        "learning_rate: 0.002, weight_decay: 0.01, dropout: 0.1, patience: 6, seed: 7}",
        f"  validation_days: {spans.validation_days}   # before the test days: early stopping, calibration",
        f"  test_days: {spans.test_days}   # the last days: the gates judge on them",
        f"  walk_forward_steps: {spans.walk_forward_steps}     # models of earlier days, that show how the error moves",
        f"  first_rows: {first_rows}   # labelled rows that start the first training by themselves: all of the file",
        "  instance: {local: ml.m5.large, dev: ml.m5.xlarge, prod: ml.m5.xlarge}   # ml.g5.xlarge has a GPU",
        "  max_runtime_minutes: 60",
        "gates:                      # what a model must pass before it goes live",
        f"  baseline: {rule}",
        "  calibration: {max_ece: 0.15}",
        "  latency: {max_p99_ms: 50}",
        "  size: {max_mb: 10}",
        f"  non_inferiority: {{recent_days: {spans.test_days}, margin: 0.02, confidence: 0.95}}   # to the live model",
        "rollout:",
        "  phases: [live]",
        "  instance: {local: ml.m5.large, dev: ml.m5.large, prod: ml.c6i.xlarge}",
        "  min_instances: 1          # runs day and night",
        "  max_instances: 2",
        "  invocations_per_instance: 1000   # per minute, the target of the autoscaling",
        "monitors:",
        f"  window_days: {spans.window_days}   # {spans.windows} windows of the file set the bounds",
        "  schedule: cron(0 6 ? * MON *)",
        "  false_alarm_rate: 0.01    # per window, all columns together",
        "  error_windows: 3          # the error alarm needs three of three windows",
        "retraining:",
        "  schedule: cron(0 7 1 1,4,7,10 ? *)   # held by the three bounds below",
        f"  cool_down_days: {max(7, 4 * spans.window_days)}",
        f"  minimum_new_labels: {max(50, first_rows // 20)}",
        "  maximum_runs_per_month: 4",
        "budget:",
        "  monthly_usd: 50           # a training run that would go beyond it does not start",
        "",
    ])  # fmt: skip


def _object(name: str, grain: str, columns: Sequence[Column], key: tuple[str, ...]) -> Iterator[str]:
    yield f"  - name: {name}"
    yield "    physicalType: table"
    yield "    logicalType: object"
    yield f"    dataGranularityDescription: {grain}"
    yield "    properties:"
    for column in columns:
        yield from _property(column, key)


def _property(column: Column, key: tuple[str, ...]) -> Iterator[str]:
    logical, physical = TYPES[column.kind]
    yield f"      - name: {_word(column.name)}"
    yield f"        logicalType: {logical}"
    yield f"        physicalType: {physical}"
    if column.name in key:
        yield "        primaryKey: true"
        yield f"        primaryKeyPosition: {key.index(column.name) + 1}"
    yield f"        required: {_word(column.required)}"
    if options := _options(column):
        yield f"        logicalTypeOptions: {_word(options)}"
    if column.allowed:
        valid = f"{{type: library, metric: invalidValues, arguments: {{validValues: {_word(list(column.allowed))}}}"
        yield f"        quality: [{valid}, mustBe: 0, dimension: conformity}}]"
    if column.label:
        yield "        customProperties: [{property: role, value: label}]"


def _options(column: Column) -> dict[str, Any]:
    bounds, length = column.find(Range) or Range(), column.find(Length) or Length()
    found: dict[str, Any] = {
        "minimum": bounds.minimum.isoformat() if isinstance(bounds.minimum, date) else bounds.minimum,
        "maximum": bounds.maximum,
        "maxLength": length.maximum,
    }
    if column.kind.startswith("timestamp"):
        found["timezone"] = column.kind == "timestamp_utc"
    return {name: value for name, value in found.items() if value is not None}


def _remark(text: str) -> list[str]:
    return ["# " + " ".join(text.split())]


def _word(value: Any) -> str:
    """The value on one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=2**31, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").removesuffix("\n")
