"""Live the first month and print its page: `python -m tests.first_month`, with 40 drops a day.

`--drops-a-day` and `--days` make it smaller. Exits with 1 where something was lost, or is left."""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.first_month.month import DAYS, live
from tests.first_month.page import page, shortcomings

DROPS_A_DAY = 40


def main() -> None:
    """Live it."""
    parser = argparse.ArgumentParser(prog="python -m tests.first_month", description=__doc__)
    parser.add_argument("--drops-a-day", type=int, default=DROPS_A_DAY, choices=range(1, 49), metavar="1…48")
    parser.add_argument("--days", type=int, default=DAYS, choices=range(1, DAYS + 1), metavar=f"1…{DAYS}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-first-month-") as folder:
        lived = live(Path(folder), drops_a_day=given.drops_a_day, days=given.days, said=partial(print, flush=True))
    found = shortcomings(lived)
    print("\n".join([*found, page(lived, drops_a_day=given.drops_a_day)]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
