"""What the presenter of a machine gives: the subject of a run, its outcome, and its entry in the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution
from millrace.console.queries.monitoring import MonitorRun
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import day

Document = Mapping[str, Any]
"""A JSON object, such as an execution's input."""
Tone = Literal["good", "bad", "watch", "plain"]
"""How an entry is marked, by its colour and its shape."""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One entry of the timeline. Its times are by the environment's clock."""

    at: datetime
    what: str
    detail: str
    tone: Tone = "plain"
    because: str = ""
    """What caused it; empty for what a person did."""
    seconds: float | None = None
    """How long it took; None if that says nothing."""
    is_later: bool = False
    """Whether it happened on a later day than its run began."""


def until(runs: Sequence[Execution | MonitorRun]) -> str:
    """The last day of an entry that covers several days: `until 1 May 1997; `. Empty for a single day."""
    first, last = runs[0].started, runs[-1].started
    return f"until {day(last)}; " if last.date() > first.date() else ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one run."""

    text: str = ""
    """The outcome in a few words; empty if there is nothing to say."""
    detail: str = ""
    """What was expected and what came; too long for a list of runs."""
    warning: str = ""
    """Why a person should look although the run did its work: most rows refused, or a gate that warns."""
    is_refused: bool = False
    """Whether the run succeeded without its result: no row accepted, nothing trained, or the model not registered."""
    look: tuple[str, ...] = ()
    """The command that shows more, in words after `millrace`: `quarantine --drop training/week.csv`."""
    advice: str = ""
    """What may help a model that a gate refused or warned of; empty if nothing is known."""
    then: tuple[str, ...] = ()
    """The command of the advice, in words after `millrace`."""
    uri: str = ""
    """Where the run has put its result for others; empty if the result has no row."""

    @property
    def line(self) -> str:
        """Text and warning: `329 accepted, 390 quarantined; warning: 54% of the rows refused, most by range`."""
        return "; warning: ".join(filter(None, (self.text, self.warning)))


@dataclass(frozen=True, kw_only=True)
class Presenter:
    """The runs of one machine in words."""

    subject: Callable[[Document, Document], str] = lambda _, __: ""
    """Called with the input and its `detail`. Gives what the run is about, such as `version 2`; empty if unknown."""
    outcome: Callable[[Execution, Sequence[ReasonCount]], Outcome]
    """Called with a run that succeeded and the reasons of its quarantined rows, if they were read."""
    tone: Tone = "plain"
    """The tone of a run in the timeline that did what it was started for."""
    is_told: Callable[[Execution], bool] = lambda _: True
    """Called with a run that succeeded. False if the run belongs to a quiet stretch of the timeline."""
    day: Callable[[Execution, WorkloadReport], date | None] = lambda _, __: None
    """Called with a run that succeeded. The day on which it had its effect, if that is not the day of its start."""
    quiet: Callable[[Sequence[Execution], WorkloadReport], TimelineEntry | None] = lambda _, __: None
    """Called with all runs of the machine in a quiet stretch, at least one. Gives one entry for them; None if the
    timeline leaves them out."""
