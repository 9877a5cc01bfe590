"""How many items a person could answer in a minute by keyboard, if deciding took no time.

Run it as `python -m benchmarks.review_page`, after `make static`. A browser presses a key as soon as an item is
shown, and waits for the next one; the stores are in memory, so calls to AWS are not in it.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import conclude
from tests.console.web.worked import worked

BAR = 30.0
ITEMS = 63


def verdict(*, items_a_minute: float) -> dict[str, Any]:
    """The result: answered items a minute against the bar."""
    holds = items_a_minute >= BAR
    return {
        "name": "review_page",
        "figure": round(items_a_minute, 1),
        "unit": "items a minute",
        "bar": BAR,
        "holds": holds,
    }


def main() -> None:
    """Print the figure and, as the last line, the result as JSON; exits with 1 where the bar is missed."""
    with TemporaryDirectory() as folder:
        seen = worked(ITEMS, Path(folder))
    print(f"{seen['answered']} items in {seen['seconds']:.1f} s")
    conclude(verdict(items_a_minute=60 * seen["answered"] / seen["seconds"]))


if __name__ == "__main__":
    main()
