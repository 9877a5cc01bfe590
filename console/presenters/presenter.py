"""What a machine's presenter gives: the subject of a run, its outcome, its entry in the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.report import WorkloadReport

Document = Mapping[str, Any]
Tone = Literal["good", "bad", "watch", "plain"]
"""How an entry is marked, by colour and by shape."""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One event, by the environment's clock."""

    at: datetime
    what: str
    detail: str
    tone: Tone = "plain"
    because: str = ""
    """Its cause; empty for what a person did."""
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What an entry of the timeline says of a run."""

    what: str
    detail: str
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Presenter:
    """One machine's runs in words."""

    subject: Callable[[Document, Document], str]
    """Of the input and its `detail`: what the run is about, as `version 2`; empty when they do not show it."""
    outcome: Callable[[Execution], str]
    """Of a run that succeeded: `1,488 rows, 48 quarantined`; empty when there is nothing to say."""
    summary: Callable[[Execution, WorkloadReport], RunSummary | None]
    """Of a run that succeeded; None: it belongs to a quiet stretch."""
    quiet: Callable[[Sequence[Execution], WorkloadReport], TimelineEntry | None] = lambda _, __: None
    """One entry for all runs of the machine in a quiet stretch, at least one; None: the timeline is silent on them."""
