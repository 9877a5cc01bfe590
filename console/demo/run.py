"""Runs a demo and says how far it is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from millrace.console.demo import air_quality, electricity, xray
from millrace.console.demo.driver import Driver, Story
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.console.pages.page import PageLink, page
from millrace.console.pages.summary import Fact, summary
from millrace.console.pages.timeline import timeline
from millrace.console.presenters.presenter import TimelineEntry, Tone
from millrace.console.queries.report import WorkloadReport, question_of, read_report
from millrace.console.words import age
from millrace.errors import ConfigurationError

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


RESULT = "demo.json"


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """The results of one story, read while its cloud was running."""

    result: dict[str, Any]
    """The story's part of demo.json; the times of deployment and of the whole are added later."""
    report: WorkloadReport


def run(build: Path, stories: Sequence[Story]) -> None:
    """Play the stories one after another and write `build/demo.json`, with the figures by workload.

    Raises LocalCloudError if a step fails. The results of the stories before it are written by then."""
    console = Console(stderr=True)
    console = console if console.is_terminal else Console(stderr=True, width=WIDTH)
    results: dict[str, dict[str, Any]] = {}
    for story in stories:
        if len(stories) > 1:
            console.print(Text(f"\n{story.workload}: {story.span}", style="bold"))
        demo = _run_story(console, build, story, stories)
        results[story.workload] = demo.result
        # Written anew after each story, so that a failure later on leaves the results so far.
        (build / RESULT).write_text(json.dumps({"workloads": results}, indent=1))
        _conclude(console, demo, build / story.page, build / RESULT)


def _run_story(console: Console, build: Path, story: Story, stories: Sequence[Story]) -> DemoRun:
    progress = Progress(console=console)
    # The cloud is stopped when the block ends, so everything is read from it within the block.
    cloud_of_story = started(build, clock=story.start, workloads=[story.workload])
    with progress.watched("Synthesize, start the cloud, deploy"), cloud_of_story as cloud:
        deployed_s = progress.elapsed_s()
        progress.said("Deployed into the local cloud")
        demo = run_in_cloud(cloud, build, story, stories, said=progress.said, moving=progress.moving)
        progress.moving("Stop the cloud", ())
    times = {"deploy_s": deployed_s, "loop_s": progress.elapsed_s()}
    return replace(demo, result={name: round(value, 2) for name, value in times.items()} | demo.result)


def run_in_cloud(
    cloud: LocalCloud,
    build: Path,
    story: Story,
    stories: Sequence[Story] = (),
    *,
    said: Callable[[str], None],
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None,
) -> DemoRun:
    """Play the story in a cloud that stays up, and write its page.

    If there are several `stories`, the page has links to the pages of all of them."""
    driver = Driver(cloud=cloud, names=story.names, said=said, moving=moving)
    story.play(driver)
    # Counted before the report is read, which makes calls of its own.
    seconds, calls = driver.elapsed_s(), cloud.api_calls()
    moving("Read the results", ())
    report = read_report(local_environment(cloud), story.names, question=question_of(story.folder))
    facts = (
        Fact(figure=f"{seconds:.0f} s", what=f"for {story.span}, deployment not counted"),
        Fact(figure=f"{calls:,}", what="calls to AWS's API"),
    )
    waited = f"Nobody waited {story.span}: the cloud's clock was moved, and schedules fired on the way."
    notes = [waited, *([story.note] if story.note else [])]
    links = [PageLink(workload=each.workload, file=each.page) for each in stories if len(stories) > 1]
    (build / story.page).write_text(page(report, extra_facts=facts, extra_notes=notes, links=links))
    return DemoRun(result={"lived_s": round(seconds, 2), "api_calls": calls}, report=report)


def _conclude(console: Console, demo: DemoRun, report_page: Path, results: Path) -> None:
    width, result = min(WIDTH, console.width), demo.result
    console.print()
    console.print(timeline_table(timeline(demo.report), width=width))
    console.print()
    console.print(Text(summary(demo.report)), width=width)
    figures = f"{result['loop_s']:.1f} s, {result['api_calls']:,} API calls."
    console.print(Text(f"\n{figures} Look at {report_page}; the figures are in {results}.", style="bold"))


STORIES: dict[str, Story] = {story.workload: story for story in (electricity.STORY, xray.STORY, air_quality.STORY)}


def chosen(workloads: Sequence[str]) -> list[Story]:
    """The stories of these workloads; raises ConfigurationError if a workload has no story."""
    for workload in workloads:
        if workload not in STORIES:
            expected = f"one of {', '.join(STORIES)}"
            raise ConfigurationError(where="demo", field="--workload", expected=expected, came=workload)
    return [STORIES[workload] for workload in workloads]
