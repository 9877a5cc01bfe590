"""The demo's output on the terminal: a status line, a line for each finished chapter, the timeline at the end.

Without a terminal, as in a CI log, there is no status line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from millrace.console.presenters.presenter import TimelineEntry, Tone
from millrace.console.words import age

WIDTH = 110
"""The most columns of the output."""
BESIDE = 4
"""Columns of the status line that the spinner and some room take."""
STYLES: dict[Tone, str] = {"good": "green", "bad": "red", "watch": "yellow", "plain": ""}
SHAPES: dict[Tone, str] = {"good": "●", "bad": "▲", "watch": "◆", "plain": "·"}
MOVING = re.compile(r"^(?:execution \S+:execution:\S+-(\w+):\S+|(\w+ job) .*|(endpoint) .*)$")
"""Finds the part of a running task's name that is shown: the machine, the kind of job, or `endpoint`."""


@dataclass(kw_only=True)
class Progress:
    """Prints to `console`. Times are seconds since the object was made."""

    console: Console
    begin: float = field(default_factory=time.monotonic)
    _status: Status | None = None

    @contextmanager
    def watched(self, first: str) -> Iterator[Progress]:
        """While the block runs, a status line is shown below the printed lines."""
        with self.console.status(Text(first)) as status:
            self._status = status
            yield self
        self._status = None

    def elapsed_s(self) -> float:
        return time.monotonic() - self.begin

    def said(self, line: str) -> None:
        """Print the line of a finished chapter."""
        self.console.print(Text.assemble((f"{self.elapsed_s():6.1f} s  ", "dim"), line))

    def moving(self, chapter: str, moving: Sequence[str]) -> None:
        """Show in the status line what still runs."""
        if self._status:
            line = Text.assemble(chapter, (f"  {plainly(moving)}", "dim"))
            line.truncate(self.console.width - BESIDE, overflow="ellipsis")
            self._status.update(line)


def plainly(moving: Sequence[str]) -> str:
    """The kinds of running tasks, each once and sorted: `train, training job`. `events` if no task has a kind."""
    # Only one of the three groups matches; `lastindex` is its number.
    found = {match[match.lastindex or 0] for line in moving if (match := MOVING.match(line))}
    return ", ".join(sorted(found)) or ("events" if moving else "")


def timeline_table(entries: Sequence[TimelineEntry], *, width: int = WIDTH) -> Table:
    """The timeline as a table of `width` columns. A day that several entries share is shown once."""
    table = Table(
        title="What happened", title_justify="left", title_style="bold", width=width, pad_edge=False, box=None
    )
    table.add_column("", width=10, style="dim", no_wrap=True)
    table.add_column("", width=1)
    table.add_column("", ratio=1)
    table.add_column("because of", width=26, style="dim")
    table.add_column("took", justify="right", width=7, style="dim", no_wrap=True)
    # A day in the first column only when it changes.
    before = ""
    for entry in entries:
        day = f"{entry.at:%Y-%m-%d}"
        table.add_row(*_row(entry, "" if day == before else day))
        before = day
    return table


def _row(entry: TimelineEntry, day: str) -> tuple[str, Text, Text, Text, str]:
    style = STYLES[entry.tone]
    what = Text(entry.what, style=f"bold {style}".strip())
    if entry.detail:
        what.append(f"\n{entry.detail}", style="not bold default")
    return day, Text(SHAPES[entry.tone], style=style), what, Text(entry.because), _took(entry.seconds or 0)


def _took(seconds: float) -> str:
    """`3.2 s`; of what waits for labels or for people `7 days`. Empty for 0."""
    if not seconds:
        return ""
    return f"{seconds:.1f} s" if seconds < 100 else age(timedelta(seconds=seconds))
