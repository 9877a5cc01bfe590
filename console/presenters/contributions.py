"""The explanation of an answer, as words and as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_NAMED = 3
"""How many contributions a line names, the largest ones."""


def because(explanation: Mapping[str, Any] | None) -> str:
    """The largest contributions in a line: `nswprice 0.0613 +1.52, period 0.5 -0.38, …`; empty for None."""
    if explanation is None:
        return ""
    found = explanation["contributions"]
    words = ", ".join(f"{_part(one)} {one['contribution']:+.3g}" for one in found[:MOST_NAMED])
    return f"{words}, …" if len(found) > MOST_NAMED else words


def contribution_rows(explanation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The explanation as rows: the reference's score, each contribution with the largest first, the sum of all others,
    and the row's score."""
    empty = {"place": "", "value": ""}
    rows = [{"what": "the reference", **empty, "adds": f"{explanation['base']:.4g}"}]
    for one in explanation["contributions"]:
        words = {"what": one["column"], "place": one.get("place", ""), "value": one.get("value", "")}
        rows.append(words | {"adds": f"{one['contribution']:+.4g}"})
    if explanation["others"]:
        rows.append({"what": "all others", **empty, "adds": f"{explanation['others']:+.4g}"})
    return [*rows, {"what": f"the row: {explanation['explains']}", **empty, "adds": f"{explanation['output']:.4g}"}]


def _part(one: Mapping[str, Any]) -> str:
    return " ".join(one[name] for name in ("column", "place", "value") if one.get(name))
