"""What a machine's presenter gives: the subject of a run, its outcome, its entry in the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from console.words import day

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.monitoring import MonitorRun
    from console.queries.quarantine import ReasonCount
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


def until(runs: Sequence[Execution | MonitorRun]) -> str:
    """The last day of an entry of several days, `until 1 May 1997; `; empty for one day."""
    first, last = runs[0].started, runs[-1].started
    return f"until {day(last)}; " if last.date() > first.date() else ""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What an entry of the timeline says of a run."""

    what: str
    detail: str
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one run."""

    text: str = ""
    """Empty where there is nothing to say."""
    detail: str = ""
    """What was expected and what came; too long for a list of runs."""
    warning: str = ""
    """Why a person should look although the run did what it was started for: most rows refused, a gate that warns."""
    is_refused: bool = False
    """The run succeeded without what it was started for: no row accepted, nothing trained, the model not registered."""
    look: tuple[str, ...] = ()
    """Words after `millrace` of the command that shows more: `quarantine --drop training/week.csv`."""
    uri: str = ""
    """Where the run has put its result for others; empty for a result without a row."""

    @property
    def line(self) -> str:
        """Text and warning: `329 accepted, 390 quarantined; warning: 54% of the rows refused, most by range`."""
        return "; warning: ".join(filter(None, (self.text, self.warning)))


@dataclass(frozen=True, kw_only=True)
class Presenter:
    """One machine's runs in words."""

    subject: Callable[[Document, Document], str]
    """Of the input and its `detail`: what the run is about, as `version 2`; empty when they do not show it."""
    outcome: Callable[[Execution, Sequence[ReasonCount]], Outcome]
    """Of a run that succeeded, with the reasons of the rows that it quarantined, where they were read."""
    summary: Callable[[Execution, WorkloadReport], RunSummary | None]
    """Of a run that succeeded; None: it belongs to a quiet stretch."""
    quiet: Callable[[Sequence[Execution], WorkloadReport], TimelineEntry | None] = lambda _, __: None
    """One entry for all runs of the machine in a quiet stretch, at least one; None: the timeline is silent on them."""
