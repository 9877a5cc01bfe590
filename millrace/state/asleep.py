"""The live endpoint that was stopped since nobody asked it: item `asleep`, which is there until it serves again.

    asleep = {"version": {"S": "3"}, "config": {"S": "millrace-dev-electricity-v3-1f0e4a-0-0-live"},
              "instance": {"S": "ml.m5.large"}, "instances": {"N": "2"}, "since": {"S": "1997-06-01T18:50:00Z"},
              "asked": {"S": "1997-06-02T06:12:08Z"}}

Of many requests that find it asleep one writes `asked` and has the endpoint started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.state.item import Item
from millrace.state.table import StateTable

START = timedelta(hours=1)
"""If the endpoint does not serve so long after it was asked for, the next request asks again."""


@dataclass(frozen=True, kw_only=True)
class Asleep(Item, key="asleep"):
    """An endpoint that was stopped. There is no item if it was not, or if it serves again."""

    version: str
    """The version that it served."""
    config: str
    """Its configuration, by which it is made again."""
    instance: str
    instances: int
    since: datetime
    asked: datetime | None = None
    """When a request or a schedule has asked for it last; None if none has."""

    @classmethod
    def ask(cls, table: StateTable, at: datetime) -> bool:
        """Note that it is wanted. True for the caller who has to start it: nobody else has asked within START."""
        unasked = "attribute_exists(pk) AND (attribute_not_exists(asked) OR asked <= :before)"
        return table.update(cls.sort_key(), "SET asked = :at", unasked, at=at, before=at - START)

    @classmethod
    def take_back(cls, table: StateTable, at: datetime) -> None:
        """Note that the caller who asked at this time could not start it."""
        table.update(cls.sort_key(), "REMOVE asked", "asked = :at", at=at)

    def remove(self, table: StateTable) -> None:
        """Remove the item, unless the endpoint was stopped again since."""
        table.delete(self.sort_key(), "since = :since", since=self.since)
