"""The live endpoint that was stopped since nobody asked it: item `asleep`, which is there until it serves again.

    asleep = {"version": {"S": "3"}, "config": {"S": "millrace-dev-electricity-v3-1f0e4a-0-0-live"},
              "instance": {"S": "ml.m5.large"}, "instances": {"N": "2"}, "since": {"S": "1997-06-01T18:50:00Z"},
              "asked": {"S": "1997-06-02T06:12:08Z"}}

Of many requests that find it asleep one writes `asked` and has the endpoint started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.state.table import Attribute, StateTable
from millrace.timestamps import format_utc, parse_utc

KEY = "asleep"
START = timedelta(hours=1)
"""If the endpoint does not serve so long after it was asked for, the next request asks again."""


@dataclass(frozen=True, kw_only=True)
class Asleep:
    """An endpoint that was stopped."""

    version: str
    """The version that it served."""
    config: str
    """Its configuration, by which it is made again."""
    instance: str
    instances: int
    since: datetime
    asked: datetime | None = None
    """When a request or a schedule has asked for it last; None if none has."""


class AsleepEndpoint:
    """The workload's item in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self) -> Asleep | None:
        """None if the endpoint was not stopped, or if it serves again."""
        item = self._table.get(KEY)
        if not item:
            return None
        return Asleep(
            version=item["version"]["S"],
            config=item["config"]["S"],
            instance=item["instance"]["S"],
            instances=int(item["instances"]["N"]),
            since=parse_utc(item["since"]["S"]),
            asked=parse_utc(item["asked"]["S"]) if "asked" in item else None,
        )

    def put(self, asleep: Asleep) -> None:
        """Write that it is stopped and that nobody asks for it."""
        item: dict[str, Attribute] = {
            "version": {"S": asleep.version},
            "config": {"S": asleep.config},
            "instance": {"S": asleep.instance},
            "instances": {"N": str(asleep.instances)},
            "since": {"S": format_utc(asleep.since)},
        }
        self._table.put(KEY, item)

    def ask(self, at: datetime) -> bool:
        """Note that it is wanted. True for the caller who has to start it: nobody else has asked within START."""
        return self._table.update(
            KEY,
            "SET asked = :at",
            {":at": {"S": format_utc(at)}, ":before": {"S": format_utc(at - START)}},
            condition="attribute_exists(pk) AND (attribute_not_exists(asked) OR asked <= :before)",
        )

    def take_back(self, at: datetime) -> None:
        """Note that the caller who asked at this time could not start it."""
        asked = {":at": {"S": format_utc(at)}}
        self._table.update(KEY, "REMOVE asked", asked, condition="asked = :at")

    def remove(self, asleep: Asleep) -> None:
        """Remove the item, unless the endpoint was stopped again since."""
        self._table.delete(KEY, "since = :since", {":since": {"S": format_utc(asleep.since)}})
