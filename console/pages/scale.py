"""Scales from values to positions in a picture, and the round values to write beside an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A straight or logarithmic scale from the values `low` to `high` onto the pixels `start` to `stop`.

    `start` may be larger than `stop`: a scale may run either way."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The position of `value`. A value outside the scale is put at its edge."""
        inside = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, count: int = 4) -> list[float]:
        """Round values inside the scale, about `count` of them. On a logarithmic scale they are powers of two."""
        if self.logarithmic:
            least, most = math.ceil(math.log2(self.low)), math.floor(math.log2(self.high))
            every = max(1, math.ceil((most - least) / count))
            return [2.0**power for power in range(least, most + 1) if power % every == 0]
        step = _round_step((self.high - self.low) / count)
        # 1e-9, so that an end that is a multiple of the step is not lost to rounding.
        least, most = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(least, most + 1)]


def months(first: date, last: date) -> Iterator[date]:
    """The first day of each month from `first` to `last`."""
    day = first.replace(day=1)
    while day <= last:
        if day >= first:
            yield day
        # 32 days after a first day always lie in the next month.
        day = (day + timedelta(days=32)).replace(day=1)


def short(value: float) -> str:
    """A number as a person writes it: `0.25`, `1`, `64`."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.0f}"


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 5 and 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def apart(one: float, other: float) -> tuple[float, float]:
    """The heights of two names at the ends of their lines, moved apart if they would cover each other."""
    # 15 units are about the height of a line of text.
    if abs(one - other) >= 15:
        return one, other
    middle, side = (one + other) / 2, 7.5 if one >= other else -7.5
    return middle + side, middle - side
