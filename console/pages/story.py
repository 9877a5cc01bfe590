"""What the report tells: plain values, filled by whoever watched the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Tone = Literal["good", "bad", "watch", "plain"]
"""How an event is marked: by colour and by shape."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure at the head of the page."""

    figure: str
    """As it is read, for example `41.2 s`."""
    what: str


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why rows of a drop were quarantined."""

    code: str
    rows: int
    example: str = ""
    """One row's detail: column, what was expected, what came."""


@dataclass(frozen=True, kw_only=True)
class Drop:
    """One object that came in and what the contract made of it: accepted + quarantined rows came."""

    name: str
    """`training/1996-05.parquet`."""
    feed: str
    accepted: int
    quarantined: int
    reasons: tuple[Reason, ...] = ()
    snapshot: str = ""
    """The table's snapshot that it became; empty for a scoring drop."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the training rows."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_error: float
    """As the task counts it."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training run."""

    version: str
    """The model version it became; empty when the gates refused it."""
    run: str
    reason: str
    """`first`, `alarm`, `schedule` or `command`."""
    rows: int
    snapshot: str
    as_of: datetime
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence: a calibrated model is right as often as it says."""

    confidence: float
    """Mean of the bin, 0 to 1."""
    accuracy: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One question to a candidate."""

    name: str
    wanted: str
    measured: str
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One candidate and what the gates said."""

    name: str
    """`version 2`, or the run where it got no version."""
    gates: tuple[Gate, ...]
    note: str = ""
    """For example on which rows it was measured."""
    reliability: tuple[Bin, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Window:
    """One judged window of event time, `start` included, `end` not."""

    start: date
    end: date
    rows: int
    drift: float | None
    """The largest statistic of a column over its bound: above 1 alarms; None where too few rows came."""
    column: str
    """Where it was largest."""
    error: float | None
    """The window's own share of wrong decisions over its bound; None before its labels came."""
    error_in_a_row: float | None
    """The lowest error of this window and those right before it, over the bound: above 1 alarms."""
    version: str
    """The model version whose bounds it was judged by."""


@dataclass(frozen=True, kw_only=True)
class Reign:
    """The days, `start` included, `end` not, that one model version decided on."""

    version: str
    start: date
    end: date


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm that went off."""

    name: str
    at: date
    """When it went off."""
    monitor: Literal["drift", "error"]


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened, by the clock of the inputs."""

    at: datetime
    what: str
    detail: str
    tone: Tone = "plain"
    because: str = ""
    """What caused it; empty for what a person did."""
    seconds: float | None = None
    """How long it took, on the clock on the wall."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One thing that ran, on the clock on the wall."""

    lane: str
    """`train`, `monitor`, …: those of one lane stand in one row."""
    name: str
    start_s: float
    """Seconds since the story's start."""
    seconds: float
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where the clock on the wall stood when the clock of the inputs came to a month."""

    name: str
    at_s: float


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link of the chain from a drop to a decision."""

    what: str
    identity: str
    """The digest, id or URI that proves it."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one kind of work would cost on AWS."""

    what: str
    quantity: str
    usd: float
    source: str
    """Where the price is from, and of when."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything on the page, in its order."""

    workload: str
    question: str
    summary: str
    """Two or three sentences for a person who reads nothing else."""
    made_at: datetime
    stage: str
    facts: tuple[Fact, ...] = ()
    windows: tuple[Window, ...] = ()
    reigns: tuple[Reign, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    happenings: tuple[Happening, ...] = ()
    drops: tuple[Drop, ...] = ()
    trainings: tuple[Training, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    lineage: tuple[Link, ...] = ()
    spans: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()
    costs: tuple[Cost, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader must know of limits: what was simulated, what a figure does not say."""
