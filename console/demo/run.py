"""The demo from its start to the timeline on the terminal, `demo.json` and the report page."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from console.demo.driver import START, Driver
from console.demo.progress import WIDTH, Progress, timeline_table
from console.demo.steps import steps
from console.environment import local_environment
from console.local_cloud.local_cloud import PLATFORM, LocalCloud, started
from console.pages.page import page
from console.pages.summary import Fact, summary
from console.pages.timeline import timeline
from console.queries.report import WorkloadReport, question_of, read_report
from millrace.names import WorkloadNames

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
ROOT = Path(__file__).resolve().parents[2]
STAMP = ROOT / "build" / "setup.stamp"
FOLDER = ROOT / "workloads" / NAMES.workload
SAMPLE = FOLDER / "sample" / "elec2.parquet"
REPORT = "report.html"
NOTE = "Nobody waited fourteen months: the cloud's clock was moved, and schedules fired on the way."


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """The demo's results, read while the cloud was up."""

    result: dict[str, Any]
    """The part of demo.json that is known by then."""
    report: WorkloadReport


def run(build: Path) -> None:
    """Run the fourteen months and write `build/demo.json`; raises LocalCloudError when a step fails."""
    console = Console(stderr=True)
    progress = Progress(console=console if console.is_terminal else Console(stderr=True, width=WIDTH))
    with progress.watched("Synthesize, start the cloud, deploy") as progress, started(build, clock=START) as cloud:
        deployed_s = progress.elapsed_s()
        progress.said("Deployed into the local cloud")
        demo = run_in_cloud(cloud, build, said=progress.said, moving=progress.moving)
        progress.moving("Stop the cloud", ())
    result = {
        "setup_s": _setup_s(),
        "deploy_s": round(deployed_s, 2),
        "loop_s": round(progress.elapsed_s(), 2),
        "cpu_s": round(_cpu_s(), 2),
        **demo.result,
    }
    (build / "demo.json").write_text(json.dumps(result, indent=1))
    _conclude(progress.console, demo.report, result, build)


def run_in_cloud(
    cloud: LocalCloud,
    build: Path,
    *,
    said: Callable[[str], None],
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None,
) -> DemoRun:
    """Run the fourteen months in a cloud that stays up, and write `build/report.html`."""
    driver = Driver(cloud=cloud, names=NAMES, sample=SAMPLE, said=said, moving=moving)
    driver.run()
    seconds, calls = driver.elapsed_s(), cloud.api_calls()
    moving("Read the results", ())
    report = read_report(local_environment(cloud), NAMES, question=question_of(FOLDER / "workload.yaml"))
    facts = (
        Fact(figure=f"{seconds:.0f} s", what="for fourteen months, deployment not counted"),
        Fact(figure=f"{calls:,}", what="calls to AWS's API"),
    )
    (build / REPORT).write_text(page(report, extra_facts=facts, extra_notes=[NOTE]))
    result = {
        "lived_s": round(seconds, 2),
        "api_calls": calls,
        "api_calls_to_read_back": cloud.api_calls() - calls,
        "steps": [step.as_json() for step in steps(NAMES, report.runs, driver.actions)],
        "predictions": [answer.as_json() for answer in driver.answers],
    }
    return DemoRun(result=result, report=report)


def _setup_s() -> float | None:
    """Seconds of the last `make setup`; None where the environment was set up in another way."""
    text = STAMP.read_text().strip() if STAMP.is_file() else ""
    return float(text) if text else None


def _cpu_s() -> float:
    """CPU seconds of this process and of all processes that it started and waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _conclude(console: Console, report: WorkloadReport, result: dict[str, Any], build: Path) -> None:
    width = min(WIDTH, console.width)
    console.print()
    console.print(timeline_table(timeline(report), width=width))
    console.print()
    console.print(Text(summary(report)), width=width)
    figures = f"{result['loop_s']:.1f} s, {result['cpu_s']:.1f} s of CPU, {result['api_calls']:,} API calls."
    console.print(Text(f"\n{figures} Look at {build / REPORT}; every step is in {build / 'demo.json'}.", style="bold"))
