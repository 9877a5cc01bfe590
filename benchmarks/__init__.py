"""What things cost: each prints its figure and, as the last line, a JSON object; a missed bar is exit status 1."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("record.json")
"""Of ratios that were measured beside something else in one run: whether more or less is better, and on each kind of
processor the best so far. Ratios of two kinds of processors differ by more than a change makes."""
WORSE = 1.1
"""How many times worse than its record a ratio may be."""


def conclude(result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON; exits with 1 where a bar is missed, or a record by more than a tenth.

    Raises ValueError for a figure that is no number, on which side of a bar it may seem to be."""
    print(json.dumps(result, allow_nan=False))
    if not result["holds"]:
        sys.exit(1)
    known = json.loads(RECORD.read_text())
    if kept := known.get(result["name"]):
        best = kept["best"].setdefault(processor(), result["figure"])
        times = (result["figure"] / best) ** (1 if kept["better"] == "less" else -1)
        if times > WORSE:
            sys.exit(f"{result['name']}: expected at most {WORSE} times its record {best}, got {times:.2f}")
        if times <= 1:
            kept["best"][processor()] = result["figure"]
            RECORD.write_text(json.dumps(known, indent=2) + "\n")


def last_line(*arguments: str, allowed: Collection[int] = (0,)) -> dict[str, Any]:
    """The last line that a process prints, which is JSON; prints the others. Exits at another status."""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(arguments, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(arguments)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    *before, last = done.stdout.splitlines()
    for line in before:
        print(line, flush=True)
    told: dict[str, Any] = json.loads(last)
    return told


def peak_mb() -> float:
    """The most memory that this process has had; `getrusage` would count what its parent had before it began."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else "unknown"
