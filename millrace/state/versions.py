"""What monitor runs have found out about each version, until a later one writes anew.

    change#3  = {"since": {"M": {"input-drift": {"S": "1997-04-30T00:00:00Z"}}}, "as_of": {"S": "1997-05-15T06:00:00Z"}}
    promise#3 = {"threshold": {"S": "0.9134"}, "as_of": {"S": "1997-06-01T06:00:00Z"}}
    floor#3   = {"below": {"BOOL": true}, "since": {"S": "1997-06-01T06:00:00Z"}, "awaits_labels": {"BOOL": false},
                 "as_of": {"S": "1997-06-08T06:00:00Z"},
                 "days": {"S": "[{\\"day\\": \\"1997-05-30\\", \\"labels\\": 48, \\"own\\": 31.0, \\"rule\\": 14.0}]"}}

Each version has its own, so that one that comes back by a rollback comes back with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from millrace.messages.monitor import FloorDay
from millrace.state.item import NEW, Form, Item

UNLESS_LATER = f"{NEW} OR as_of <= :as_of"
"""A run changes nothing that a later one has written."""
DAYS = Form(
    lambda text: tuple(FloorDay(**day) for day in json.loads(text)),
    lambda days: json.dumps([day.model_dump() for day in days]),
)


@dataclass(frozen=True, kw_only=True)
class ChangeStarts(Item, key="change#{version}", only_if=UNLESS_LATER):
    """Since when windows of a version are above a bound.

    The guard of a retraining counts the labels of rows since then: older ones say nothing of what has changed."""

    version: str
    since: Mapping[str, datetime]
    """By alarm the start of the first window above its bound; without alarms that are below again."""
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class KeptPromise(Item, key="promise#{version}", only_if=UNLESS_LATER):
    """The confidence from which answers of a version act, as late labels have moved it.

    Without the item the threshold of the evaluation holds."""

    version: str
    threshold: float
    as_of: datetime
    """The time that counted in the monitor's run."""


@dataclass(frozen=True, kw_only=True)
class FloorState(Item, key="floor#{version}", only_if=UNLESS_LATER):
    """Whether a version is below its floor, so that the naive rule answers in its place.

    The monitor writes it, and the guard after an alarm without labels if the workload declares so. Without the item
    the version answers: the gate `baseline` has held each version against the rule before it went live."""

    version: str
    below: bool
    since: datetime
    """When the monitor said so first, by the time that counted in its run."""
    as_of: datetime
    """The time that counted in the run which judged last."""
    days: tuple[FloorDay, ...] = field(metadata={"form": DAYS})
    """The days whose labels it compared last."""
    awaits_labels: bool = False
    """Whether no label has decided: the rule answers since an alarm, until labels of that time or the alarm's end."""

    def labels_since(self, start: datetime) -> int:
        """How many labels of rows from the day of `start` on were compared."""
        return sum(one.labels for one in self.days if one.day >= start.date().isoformat())
