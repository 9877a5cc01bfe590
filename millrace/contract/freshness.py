"""How old the newest row may be. The contract says it by the standard's service-level agreement `latency`:

slaProperties:
  - {property: latency, value: 2, unit: d, element: rows.timestamp}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOURS = {
    **dict.fromkeys(("h", "hr", "hour", "hours"), 1.0),
    **dict.fromkeys(("d", "day", "days"), 24.0),
    **dict.fromkeys(("y", "yr", "year", "years"), 24 * 365.0),
}
"""The hours of each unit of the standard:
https://bitol-io.github.io/open-data-contract-standard/latest/service-level-agreement/"""

AGREEMENTS = (
    *("availability", "throughput", "errorRate", "generalAvailability", "endOfSupport", "endOfLife", "retention"),
    *("frequency", "latency", "timeToDetect", "timeToNotify", "timeToRepair"),
    *("av", "th", "er", "ga", "es", "el", "re", "fy", "ly", "td", "tn", "tr"),
)
"""The properties of the standard's table of agreements, and their abbreviations. Any other is a slip of the pen: an
agreement `latenc` would be kept by nobody."""


@dataclass(frozen=True, kw_only=True)
class AllowedAge:
    """The newest value in `column` of the table `rows` may be at most `hours` old."""

    column: str
    hours: float


def read_freshness(agreements: list[Mapping[str, Any]]) -> AllowedAge | None:
    """The agreement `latency` of the contract, None if it has none; other agreements are for people and not read.

    Raises ValueError for a property that the standard does not have, for two latencies and for one that cannot be read;
    its message is what was expected."""
    if strays := [one.get("property") for one in agreements if one.get("property") not in AGREEMENTS]:
        raise ValueError(f"properties among {', '.join(AGREEMENTS)}, not {strays[0]!r}")
    found = [one for one in agreements if one.get("property") in ("latency", "ly")]
    if not found:
        return None
    (first, *others), value = found, found[0].get("value")
    table, _, column = str(first.get("element", "")).partition(".")
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if others or not is_number or first.get("unit") not in HOURS or table != "rows" or not column:
        units = ", ".join(HOURS)
        raise ValueError(f"one latency: a number above 0, a unit of {units}, an element like rows.timestamp")
    return AllowedAge(column=column, hours=float(value) * HOURS[str(first["unit"])])  # type: ignore[arg-type]
