"""The kind of a label that is a number at every step up to a horizon. Only `--kind forecast` proposes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from console.new.kinds.interval import Interval

MOST_HORIZONS = 48
"""Most horizons of a forecast. If there are more steps, every second or third is predicted."""


@dataclass(frozen=True)
class Forecast(Interval):
    """A number with an interval, at each step of the rows up to `--horizon-hours`."""

    name: ClassVar[str] = "forecast"
    wanted: ClassVar[str] = "a column of numbers, with --horizon-hours"

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:
        steps = int(hours / every_hours + 1e-9)
        every = max(1, -(-steps // MOST_HORIZONS))  # rounded up
        # From the farthest one back, so that it is always among them.
        return [round(step * every_hours, 9) for step in range(steps, 0, -every)][::-1] or hours

    def find_problem(self, values: Sequence[object]) -> str:
        return super().find_problem([one for value in values if isinstance(value, list) for one in value])
