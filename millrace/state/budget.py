"""What the runs of a month have reserved of the month's budget: items `spend#<yyyy-mm>`.

An item has the sum, and one attribute for each run, whose name is the run's ARN:

    spend#1997-06 = {"usd": {"N": "1.24"}, "arn:…-train:7f": {"N": "0.62"}, "arn:…-train:8a": {"N": "0.62"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from millrace.state.table import StateTable
from millrace.timestamps import month

PREFIX = "spend#"
KEYS = ("pk", "sk", "usd")
"""The attributes of an item that are no ARN of a run."""


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What the runs of one month have reserved, in US dollars."""

    usd: Decimal
    runs: Mapping[str, Decimal]
    """The part of each run, by the ARN of its execution or of the job that a person started.

    A drop that a job judges again reserves once more, by its ARN with `#1`, `#2` …"""


class MonthlyBudget:
    """The workload's reservations, in US dollars."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def spent_usd(self, as_of: datetime) -> Decimal:
        """The sum that is reserved in the month (UTC) of `as_of`."""
        return Decimal(self._table.get(f"{PREFIX}{month(as_of)}").get("usd", {"N": "0"})["N"])

    def months(self) -> dict[str, Spend]:
        """What is reserved in each month, by yyyy-mm, the oldest month first."""
        return {
            name: Spend(
                usd=Decimal(item["usd"]["N"]),
                runs={arn: Decimal(value["N"]) for arn, value in sorted(item.items()) if arn not in KEYS},
            )
            for name, item in self._table.items(PREFIX).items()
        }

    def reserve(self, usd: float, *, arn: str, as_of: datetime, monthly_usd: float) -> bool:
        """Reserve `usd`, rounded up to cents, for the run with this ARN in the month of `as_of`.

        Returns whether it is reserved: False if the month's budget `monthly_usd` has no room. A run reserves once; a
        second call for the same ARN returns True."""
        key = f"{PREFIX}{month(as_of)}"
        cost = Decimal(str(usd)).quantize(Decimal("0.01"), ROUND_CEILING)
        room = Decimal(str(monthly_usd)) - cost
        # One conditional write, so that two runs at once cannot both take the last of the budget. A condition cannot
        # add, so `spent + cost <= budget` is written as `spent <= room`.
        fits = "(attribute_not_exists(usd) OR usd <= :room) AND attribute_not_exists(#arn)"
        added = "ADD usd :usd SET #arn = :usd"
        if room >= 0 and self._table.update(key, added, fits, {"#arn": arn}, usd=cost, room=room):
            return True
        # The write was refused: either there is no room, or the run has reserved before and this is a retry.
        return arn in self._table.get(key)
