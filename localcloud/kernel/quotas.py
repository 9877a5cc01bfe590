"""The quotas of AWS that the local cloud keeps, as `quotas.toml` has them: by service or part of one, then by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

QUOTAS: Mapping[str, Mapping[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())


def quota(group: str, name: str) -> int:
    """The number of a quota. Raises KeyError if the table has none of this name."""
    return int(QUOTAS[group][name]["most"])


def rows() -> dict[tuple[str, str], dict[str, Any]]:
    """All quotas by group and name, as `{"most": 900, "unit": "s", "what": "…", "shape": "Timeout"}`."""
    return {(group, name): row for group, quotas in QUOTAS.items() for name, row in quotas.items() if name != "source"}


def as_markdown() -> list[str]:
    """The lines of the table on the page of the ledger."""
    lines = ["| service | of what | at most |", "|---|---|---:|"]
    for (group, _), row in rows().items():
        page = f"https://docs.aws.amazon.com/{QUOTAS[group]['source']}"
        lines.append(f"| [{group}]({page}) | {row['what']} | {row['most']:,} {row['unit']} |")
    return lines
