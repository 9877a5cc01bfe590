"""The demo from its start to its table, `demo.json` and report."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from millrace.demo.driver import START, Driver
from millrace.demo.trace import Execution, executions, steps
from millrace.desk import PLATFORM, Desk, started
from millrace.names import WorkloadNames

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
SAMPLE = Path(__file__).resolve().parents[2] / "workloads" / "electricity" / "sample" / "elec2.parquet"


def run(build: Path) -> None:
    """Live through the fourteen months and write `build/demo.json`; raises DeskError when it does not end well."""
    console = Console(stderr=True)
    begin = time.monotonic()
    with console.status("synthesize, start the cloud, deploy") as status, started(build, clock=START) as desk:
        deployed_s = time.monotonic() - begin
        console.print(f"[dim]{_clock(begin)}[/] deployed")
        result = live_through(desk, build, said=lambda line: _say(console, status, begin, line))
    result |= {
        "setup_s": _setup_s(build),
        "deploy_s": round(deployed_s, 2),
        "loop_s": round(time.monotonic() - begin, 2),
        "cpu_s": round(_cpu_s(), 2),
    }
    (build / "demo.json").write_text(json.dumps(result, indent=1, default=str))
    _table(console, result)


def live_through(desk: Desk, build: Path, *, said: Callable[[str], None]) -> dict[str, Any]:
    """What happened in the fourteen months, with the report written to `build/report.html`; the cloud stays up."""
    driver = Driver(desk=desk, names=NAMES, sample=SAMPLE, said=said)
    driver.run()
    return _result(desk, driver, executions(desk, NAMES))


def _result(desk: Desk, driver: Driver, found: list[Execution]) -> dict[str, Any]:
    happened = sorted(steps(found, driver.deeds), key=lambda step: datetime.fromisoformat(step.started))
    return {
        "api_calls": desk.api_calls(),
        "steps": [step.as_json() for step in happened],
        "predictions": driver.answers,
    }


def _say(console: Console, status: Any, begin: float, line: str) -> None:
    if ": done in " in line:
        console.print(f"[dim]{_clock(begin)}[/] {line}")
    else:
        status.update(line)


def _clock(begin: float) -> str:
    return f"{time.monotonic() - begin:5.1f} s"


def _setup_s(build: Path) -> float | None:
    """What the last set-up took, as `make setup` noted it."""
    note = build / "setup.stamp"
    text = note.read_text().strip() if note.is_file() else ""
    return float(text) if text else None


def _cpu_s() -> float:
    """CPU seconds of this process and of all that it started and has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _table(console: Console, result: dict[str, Any]) -> None:
    table = Table(title="What happened", title_justify="left")
    for column in ("step", "status", "seconds", "caused by"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    names = {step["id"]: step["name"] for step in result["steps"]}
    for step in result["steps"]:
        table.add_row(step["name"], step["status"], f"{step['seconds']:.2f}", names.get(step["caused_by"], "a person"))
    console.print(table)
    console.print(
        f"loop {result['loop_s']:.1f} s, {result['cpu_s']:.1f} s of CPU, {result['api_calls']} API calls; "
        "build/demo.json, build/report.html"
    )
