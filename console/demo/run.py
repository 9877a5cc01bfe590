"""The demo from its start to its table, `demo.json` and report."""

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
from console.demo.narrative.findings import read
from console.demo.narrative.story import question_of, tell
from console.demo.narrative.summary import Measured
from console.demo.narrative.timeline import Lived
from console.demo.progress import WIDTH, Progress, told
from console.demo.steps import steps
from console.local_cloud.local_cloud import PLATFORM, LocalCloud, started
from console.pages.page import page
from console.pages.story import Story
from console.queries.executions import executions
from millrace.names import WorkloadNames

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
ROOT = Path(__file__).resolve().parents[2]
STAMP = ROOT / "build" / "setup.stamp"
FOLDER = ROOT / "workloads" / NAMES.workload
SAMPLE = FOLDER / "sample" / "elec2.parquet"
REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the demo leaves."""

    result: dict[str, Any]
    """demo.json as far as it is known while the cloud is up."""
    story: Story


def run(build: Path) -> None:
    """Run the fourteen months and write `build/demo.json`; raises LocalCloudError when a step fails."""
    console = Console(stderr=True)
    progress = Progress(console=console if console.is_terminal else Console(stderr=True, width=WIDTH))
    with progress.watched("Synthesize, start the cloud, deploy") as progress, started(build, clock=START) as cloud:
        deployed_s = progress.elapsed_s()
        progress.said("Deployed into the local cloud")
        lived = _lived(cloud, build, said=progress.said, moving=progress.moving)
        progress.moving("Stop the cloud", ())
    result = {
        "setup_s": _setup_s(),
        "deploy_s": round(deployed_s, 2),
        "loop_s": round(progress.elapsed_s(), 2),
        "cpu_s": round(_cpu_s(), 2),
        **lived.result,
    }
    (build / "demo.json").write_text(json.dumps(result, indent=1))
    _conclude(progress.console, lived.story, result, build)


def live_through(cloud: LocalCloud, build: Path, *, said: Callable[[str], None]) -> dict[str, Any]:
    """What happened in the fourteen months, with the report written to `build/report.html`; the cloud stays up."""
    return _lived(cloud, build, said=said).result


def _lived(
    cloud: LocalCloud,
    build: Path,
    *,
    said: Callable[[str], None],
    moving: Callable[[str, Sequence[str]], None] = lambda _chapter, _moving: None,
) -> Outcome:
    driver = Driver(cloud=cloud, names=NAMES, sample=SAMPLE, said=said, moving=moving)
    driver.run()
    measured = Measured(seconds=driver.elapsed_s(), api_calls=cloud.api_calls())
    moving("Read back what happened", ())
    found = executions(cloud.client("stepfunctions"), NAMES)
    lived = Lived(
        steps=steps(found, driver.deeds, driver.noted),
        executions={execution.arn: execution for execution in found},
        answers=driver.answers,
        findings=read(cloud, NAMES, found),
    )
    story = tell(lived, NAMES, question=question_of(FOLDER / "workload.yaml"), measured=measured)
    (build / REPORT).write_text(page(story))
    result = {
        "lived_s": round(measured.seconds, 2),
        "api_calls": measured.api_calls,
        "api_calls_to_read_back": cloud.api_calls() - measured.api_calls,
        "steps": [step.as_json() for step in lived.steps],
        "predictions": [answer.as_json() for answer in driver.answers],
    }
    return Outcome(result=result, story=story)


def _setup_s() -> float | None:
    """What the last set-up took, as `make setup` noted it; None where it was set up in another way."""
    text = STAMP.read_text().strip() if STAMP.is_file() else ""
    return float(text) if text else None


def _cpu_s() -> float:
    """CPU seconds of this process and of all that it started and has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _conclude(console: Console, story: Story, result: dict[str, Any], build: Path) -> None:
    width = min(WIDTH, console.width)
    console.print()
    console.print(told(story, width=width))
    console.print()
    console.print(Text(story.summary), width=width)
    figures = f"{result['loop_s']:.1f} s, {result['cpu_s']:.1f} s of CPU, {result['api_calls']:,} API calls."
    console.print(Text(f"\n{figures} Look at {build / REPORT}; every step is in {build / 'demo.json'}.", style="bold"))
