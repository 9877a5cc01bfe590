"""What things cost: each prints its figure and, as the last line, a JSON object; a missed bar is exit status 1."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("record.json")
"""Of ratios that were measured beside something else in one run: whether more or less is better, and on each kind of
processor the best so far. Ratios of two kinds of processors differ by more than a change makes."""
WORSE = 1.1
"""How many times worse than its record a ratio may be."""


def conclude(result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON; exits with 1 where a bar is missed, or a record by more than a tenth."""
    print(json.dumps(result))
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


def processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else "unknown"
