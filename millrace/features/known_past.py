"""The past of a row from what is known of its key, for a request that does not send it. Works without numpy.

A step of a history takes the latest row within its width, so of the known rows one for each step is enough. The oldest
known row that counts need not be within a step: it may only show that the past is long enough."""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from millrace.contract.kinds import as_json
from millrace.contract.row import KnownPast
from millrace.features.as_of import HOUR_US, time_us

if TYPE_CHECKING:
    from millrace.features.history import History
    from millrace.workload.declaration import Workload


def repeats_labels(workload: Workload) -> bool:
    """Whether the fallback has a naive rule that repeats an earlier label of the row's key."""
    return "rule" in workload.prediction.fallback and math.isfinite(workload.gates.baseline.label_age_hours)


@dataclass(frozen=True, kw_only=True)
class KeyedColumns:
    """Which columns are known of a key, and for how long."""

    entity: tuple[str, ...]
    """The columns of the key without the event time."""
    event_time: str
    columns: tuple[str, ...]
    """The columns that are known beside the event time."""
    hours: float

    @classmethod
    def of(cls, workload: Workload, histories: Sequence[History]) -> Self | None:
        """All columns that the histories read, and the label if the naive rule repeats one. None without known keys."""
        if workload.known_keys is None:
            return None
        prediction = workload.prediction
        labels = prediction.label_columns if repeats_labels(workload) else ()
        columns = tuple(dict.fromkeys((*(name for history in histories for name in history.history), *labels)))
        hours = workload.known_keys.hours
        return cls(entity=prediction.entity, event_time=prediction.event_time, columns=columns, hours=hours)

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        return tuple(dict.fromkeys((*self.entity, self.event_time, *self.columns)))

    @property
    def hours_us(self) -> int:
        return round(self.hours * HOUR_US)

    @property
    def digest(self) -> str:
        """Names this declaration: rows that were kept for another one do not count."""
        declared = [self.entity, self.event_time, self.columns, self.hours]
        return hashlib.sha256(json.dumps(declared).encode()).hexdigest()[:16]

    def key_of(self, cells: Mapping[str, Any]) -> str:
        """32 hexadecimal digits that name the key of a row. Its cells have the contract's types."""
        key = json.dumps([as_json(cells[name]) for name in self.entity])
        return hashlib.sha256(key.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class KeyRows:
    """The known rows of one key, in the order of their times."""

    event_time: str
    columns: Mapping[str, Sequence[Any]]
    """The cells as JSON holds them, by column; () for every row where a column has none."""
    times_us: tuple[int, ...]
    """The event times in microseconds since 1970."""

    @classmethod
    def read(cls, event_time: str, columns: Mapping[str, Sequence[Any]]) -> Self:
        """The rows with these cells, which lie in the order of their event times."""
        times = tuple(time_us({event_time: text}, event_time) for text in columns.get(event_time, ()))
        return cls(event_time, columns, times)

    def cell(self, column: str, at_us: int) -> Any:
        """The cell of the row at exactly this time; None without one."""
        place = bisect_left(self.times_us, at_us)
        return self.columns[column][place] if self.times_us[place : place + 1] == (at_us,) else None

    def entry(self, place: int, names: Sequence[str]) -> dict[str, Any]:
        """One row in the form in which a request sends a row of its past."""
        return {name: self.columns[name][place] for name in (self.event_time, *names)}


def past_of(history: History, at_us: int, known: KeyRows) -> KnownPast:
    """The past of a row at this time: of each step but the last, which is the row itself, the row that it takes.

    If no row lies in the oldest step, the latest one before it comes too: it shows that the past is long enough."""
    every_us, times = round(history.every_hours * HOUR_US), known.times_us
    first, end = bisect_right(times, at_us - history.steps * every_us), bisect_left(times, at_us)
    # Later rows of a step take the place of earlier ones.
    of_step = {(at_us - times[place]) // every_us: place for place in range(first, end)}
    of_step.pop(0, None)
    before = [first - 1] if first and history.steps - 1 not in of_step else []
    return KnownPast(known.entry(place, history.history) for place in (*before, *of_step.values()))
