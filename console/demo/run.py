"""Run the demo: play the stories, print each timeline, write each report page and `demo.json`."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from millrace.console.demo.driver import Driver
from millrace.console.demo.progress import WIDTH, Progress, timeline_table
from millrace.console.demo.steps import steps
from millrace.console.demo.story import Story
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.console.pages.balance import balance_of
from millrace.console.pages.page import PageLink, page
from millrace.console.pages.summary import Fact, summary
from millrace.console.pages.timeline import timeline
from millrace.console.queries.report import WorkloadReport, read_declared_report
from millrace.workload.load import SUITE

STAMP = SUITE / "build" / "setup.stamp"
"""Written by `make setup`: the seconds that it took."""
RESULT = "demo.json"


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """The results of one story, read while its cloud was running."""

    result: dict[str, Any]
    """The story's part of demo.json; the times of deployment and of the whole are added later."""
    report: WorkloadReport


def run(build: Path, stories: Sequence[Story]) -> None:
    """Play the stories one after another and write `build/demo.json`, with the results by workload.

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
        (build / RESULT).write_text(json.dumps({"setup_s": _setup_s(), "workloads": results}, indent=1))
        _conclude(console, demo, build / story.page, build / RESULT)


def _run_story(console: Console, build: Path, story: Story, stories: Sequence[Story]) -> DemoRun:
    cpu_s, progress = _cpu_s(), Progress(console=console)
    # The cloud is stopped when the block ends, so everything is read from it within the block.
    cloud_of_story = started(build, clock=story.start, workloads=[story.workload])
    with progress.watched("Synthesize, start the cloud, deploy"), cloud_of_story as cloud:
        deployed_s = progress.elapsed_s()
        progress.said("Deployed into the local cloud")
        demo = run_in_cloud(cloud, build, story, stories, said=progress.said, moving=progress.moving)
        progress.moving("Stop the cloud", ())
    times = {"deploy_s": deployed_s, "loop_s": progress.elapsed_s(), "cpu_s": _cpu_s() - cpu_s}
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
    report = read_declared_report(local_environment(cloud), story.names, story.folder / "workload.yaml")
    facts = (
        Fact(figure=f"{seconds:.0f} s", what=f"for {story.span}, deployment not counted"),
        Fact(figure=f"{calls:,}", what="calls to AWS's API"),
    )
    waited = f"Nobody waited {story.span}: the cloud's clock was moved, and schedules fired on the way."
    notes = [waited, *([story.note] if story.note else [])]
    links = [PageLink(workload=each.workload, file=each.page) for each in stories if len(stories) > 1]
    (build / story.page).write_text(page(report, extra_facts=facts, extra_notes=notes, links=links))
    result = {
        "lived_s": round(seconds, 2),
        "api_calls": calls,
        "api_calls_to_read_back": cloud.api_calls() - calls,
        "steps": [step.as_json() for step in steps(story.names, report.runs, driver.actions)],
        "predictions": [answer.as_json() for answer in driver.answers],
    }
    return DemoRun(result=result, report=report)


def _setup_s() -> float | None:
    """Seconds of the last `make setup`; None if the environment was set up in another way."""
    text = STAMP.read_text().strip() if STAMP.is_file() else ""
    return float(text) if text else None


def _cpu_s() -> float:
    """CPU seconds of this process and of all processes that it started and waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _conclude(console: Console, demo: DemoRun, report_page: Path, results: Path) -> None:
    width, result = min(WIDTH, console.width), demo.result
    console.print()
    console.print(timeline_table(timeline(demo.report), width=width))
    console.print()
    console.print(Text(summary(demo.report)), width=width)
    if balance := balance_of(demo.report):
        console.print(Text(f"\n{balance.sentence}"), width=width)
    figures = f"{result['loop_s']:.1f} s, {result['cpu_s']:.1f} s of CPU, {result['api_calls']:,} API calls."
    console.print(Text(f"\n{figures} Look at {report_page}; every step is in {results}.", style="bold"))
