"""What the person at the terminal sees: one calm line, a line per finished chapter, the story at the end.

Without a terminal (a log of CI) only the finished lines and the story are printed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from console.pages.story import Happening, Story, Tone

WIDTH = 110
BESIDE = 4
"""Columns of the spinner and some room."""
STYLES: dict[Tone, str] = {"good": "green", "bad": "red", "watch": "yellow", "plain": ""}
SHAPES: dict[Tone, str] = {"good": "●", "bad": "▲", "watch": "◆", "plain": "·"}
MOVING = re.compile(r"^(?:execution \S+:execution:\S+-(\w+):\S+|(\w+ job) .*|(endpoint) .*)$")
"""Of what the cloud says that moves, what a person wants to know."""


@dataclass(kw_only=True)
class Progress:
    """Prints to `console`; times are seconds since it was made."""

    console: Console
    begin: float = field(default_factory=time.monotonic)
    _status: Status | None = None

    @contextmanager
    def watched(self, first: str) -> Iterator[Progress]:
        """While the block runs, the line of what is going on stands below what was printed."""
        with self.console.status(Text(first)) as status:
            self._status = status
            yield self
        self._status = None

    def elapsed_s(self) -> float:
        return time.monotonic() - self.begin

    def said(self, line: str) -> None:
        """A chapter is finished."""
        self.console.print(Text.assemble((f"{self.elapsed_s():6.1f} s  ", "dim"), line))

    def moving(self, chapter: str, moving: Sequence[str]) -> None:
        """Something is going on."""
        if self._status:
            line = Text.assemble(chapter, (f"  {plainly(moving)}", "dim"))
            line.truncate(self.console.width - BESIDE, overflow="ellipsis")
            self._status.update(line)


def plainly(moving: Sequence[str]) -> str:
    """What moves in a few words, each once and in a steady order: `train, training job`."""
    found = {match[match.lastindex or 0] for line in moving if (match := MOVING.match(line))}
    return ", ".join(sorted(found)) or ("events" if moving else "")


def told(story: Story, *, width: int = WIDTH) -> Table:
    """The story as a table of `width` columns."""
    made = Table(title="What happened", title_justify="left", title_style="bold", width=width, pad_edge=False, box=None)
    made.add_column("", width=10, style="dim", no_wrap=True)
    made.add_column("", width=1)
    made.add_column("", ratio=1)
    made.add_column("because of", width=26, style="dim")
    made.add_column("took", justify="right", width=7, style="dim", no_wrap=True)
    day = ""
    for happening in story.happenings:
        made.add_row(*_row(happening, day))
        day = _day(happening)
    return made


def _row(happening: Happening, day: str) -> tuple[str, Text, Text, Text, str]:
    style = STYLES[happening.tone]
    what = Text(happening.what, style=f"bold {style}".strip())
    if happening.detail:
        what.append(f"\n{happening.detail}", style="not bold default")
    took = f"{happening.seconds:.1f} s" if happening.seconds else ""
    shown = "" if _day(happening) == day else _day(happening)
    return shown, Text(SHAPES[happening.tone], style=style), what, Text(happening.because), took


def _day(happening: Happening) -> str:
    return f"{happening.at:%Y-%m-%d}"
