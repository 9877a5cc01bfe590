"""What the gates read of the evaluation job's report, `evaluation.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Report(BaseModel):
    """Readers ignore keys that they do not know; NaN and infinity are allowed, a gate refuses them."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Rows(Report):
    test: int


class Span(Report):
    """Event time, ISO 8601, half open."""

    from_: str = Field(alias="from")
    to: str


class Metrics(Report):
    """All on the test rows, which the model never saw."""

    accuracy: float
    log_loss: float
    auc: float | None = None
    """None where the test rows hold one class only."""
    ece: float
    """Expected calibration error, 0 to 1."""
    baseline_accuracy: float
    """What the workload's naive rule reaches on the same rows."""
    baseline_log_loss: float | None = None
    """Of the rule `base_rate`, which answers with a probability; None for another."""


class Latency(Report):
    """Milliseconds of one call with `rows` rows, on the serving engine."""

    p50: float
    p99: float
    rows: int


class Champion(Report):
    """The champion and the challenger on the same recent rows."""

    model_version: str
    accuracy: float
    challenger_accuracy: float
    rows: int
    difference: float
    """Challenger's accuracy minus the champion's."""
    lower_bound: float
    """One-sided bound of the difference, by a bootstrap over blocks of days."""


class Bin(Report):
    """Answers of about the same confidence."""

    confidence: float
    """Mean of the bin, 0 to 1."""
    accuracy: float
    rows: int


class Evaluation(Report):
    """The report; `Evaluation.model_validate_json(text)` raises pydantic's ValidationError on another shape."""

    rows: Rows
    split: Span
    metrics: Metrics
    finite_weights: bool
    latency_ms: Latency
    size_mb: float
    """Of model.tar.gz."""
    champion: Champion | None = None
    reliability: tuple[Bin, ...] = ()
