"""Live the first month and write its page: `python -m tests.first_month [drops a day]`, 40 without a number.

It takes about as many minutes as there are drops a day. Exits with 1 where something was lost, or is left."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.first_month.month import live
from tests.first_month.page import page, shortcomings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "first-month.md"
DROPS_A_DAY = 40


def main() -> None:
    """Live it."""
    drops_a_day = int(sys.argv[1]) if len(sys.argv) > 1 else DROPS_A_DAY
    with tempfile.TemporaryDirectory(prefix="millrace-first-month-") as folder:
        lived = live(Path(folder), drops_a_day=drops_a_day, said=lambda line: print(line, flush=True))
    found = shortcomings(lived)
    print("\n".join(found))
    PAGE.write_text(page(lived, drops_a_day=drops_a_day))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
