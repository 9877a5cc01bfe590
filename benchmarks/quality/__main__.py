"""The table of all sets: `python -m benchmarks.quality --data FOLDER`; the last line is JSON.

Each set is measured by its own module, with three seeds or five. Electricity is not among them: its bar is about a
stream over which models are released and watched.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import conclude, last_line
from benchmarks.quality import Figure, arguments

SETS = ("income", "xray", "air_quality", "intents", "reviews")


def measure(name: str, data: Path) -> list[Figure]:
    """What the set's own module prints last; a missed bar is its exit status 1."""
    told = last_line(sys.executable, "-m", f"benchmarks.quality.{name}", "--data", str(data), allowed=(0, 1))
    print(json.dumps(told), flush=True)
    return [Figure(**one) for one in told["figures"]]


def verdict(figures: list[Figure]) -> dict[str, Any]:
    """How many bars are reached; each floor must be passed as well."""
    below = [figure.of for figure in figures if not figure.is_above_floor]
    missed = [figure.of for figure in figures if not figure.is_reached]
    figures_of = {"figure": len(figures) - len(missed), "unit": f"of {len(figures)} bars"}
    return {"name": "quality", **figures_of, "below_floor": below, "missed": missed, "holds": not below and not missed}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--set", action="append", choices=SETS, dest="sets")
    given = parser.parse_args()
    figures = [figure for name in given.sets or SETS for figure in measure(name, given.data)]
    print("| set | floor | rival | ours, half the spread | bar | reached |\n|---|---|---|---|---|---|")
    print(*(figure.line for figure in figures), sep="\n")
    conclude(verdict(figures))


if __name__ == "__main__":
    main()
