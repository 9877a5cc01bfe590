"""`make size`: the lines of each room beside its ceiling. A report; whoever passes a ceiling takes as much away."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "console": 20.0,
    "millrace": 30.0,
    "functions": 4.8,
    "jobs": 5.3,
    "infra": 10.8,
    "infra/local": 19.6,
    "tests": 60.0,
}
"""Thousands of lines of Python; `infra` is without the local cloud."""
PRODUCT = ("console", "millrace", "functions", "jobs", "infra")
PRODUCT_CEILING = 71.0
PAGES = {"docs": 220.0, "README.md": 13.0, "docs/extending.md": 16.0}
"""Thousands of bytes."""


def kept(pattern: str) -> list[Path]:
    """The files that git keeps or would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in (ROOT / name for name in names) if path.is_file()]


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "infra/local" if parts[:2] == ("infra", "local") else parts[0]


def lines() -> dict[str, float]:
    """Thousands by room."""
    counted = dict.fromkeys(ROOMS, 0.0)
    for path in kept("*.py"):
        if room_of(path) in counted:
            counted[room_of(path)] += len(path.read_text().splitlines()) / 1000
    return counted


def row(name: str, size: float, ceiling: float, unit: str) -> str:
    return f"{name:<18} {size:7.1f} of {ceiling:5.1f} {unit}{'  ABOVE' if size > ceiling else ''}"


def main() -> None:
    counted = lines()
    for room, size in counted.items():
        print(row(room, size, ROOMS[room], "k lines"))
    print(row("product", sum(counted[room] for room in PRODUCT), PRODUCT_CEILING, "k lines"))
    for name, ceiling in PAGES.items():
        files = [path for path in kept(name) if path.suffix == ".md"]
        print(row(name, sum(path.stat().st_size for path in files) / 1000, ceiling, "kB"))


if __name__ == "__main__":
    main()
