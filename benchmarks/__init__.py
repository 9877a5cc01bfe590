"""What things cost: each prints its figure and, as the last line, a JSON object; a missed bar is exit status 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("record.json")
"""Of ratios that were measured beside something else in one run: the best, and whether more or less is better."""
WORSE = 1.1
"""How many times worse than its record a ratio may be."""


def conclude(result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON; exits with 1 where a bar is missed, or a record by more than a tenth."""
    print(json.dumps(result))
    if not result["holds"]:
        sys.exit(1)
    known = json.loads(RECORD.read_text())
    if best := known.get(result["name"]):
        times = (result["figure"] / best["figure"]) ** (1 if best["better"] == "less" else -1)
        if times > WORSE:
            sys.exit(f"{result['name']}: expected at most {WORSE} times its record {best['figure']}, got {times:.2f}")
        if times < 1:
            known[result["name"]] = best | {"figure": result["figure"]}
            RECORD.write_text(json.dumps(known, indent=2) + "\n")
