"""Finds the moment that a row is about: a column of times, or the time of the drop where none is surely that moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.console.new.columns import MOST_MISFITS, Profile
from millrace.console.new.keys import Panels
from millrace.console.new.read import Doubt
from millrace.console.new.roles import Choices, Guess, Guesser
from millrace.console.new.times import micros
from millrace.console.new.words import is_called, why_protected
from millrace.errors import ConfigurationError

TIMES = ("event_time", "timestamp", "time", "datetime", "date", "ts", "observed_at", "created_at")
DAY_US = 86_400_000_000
FEWEST = 10
"""Times of fewer different values are in no order that says something."""
Micros = npt.NDArray[np.float64]
Settled = tuple[Choices, Guess[Profile] | None, tuple[Doubt, ...]]
"""The choices, the guess of the event time, and what was in doubt. Without a guess the time is generated."""


def find_event_time(guesser: Guesser, choices: Choices, label: Profile, *, has_images: bool) -> Settled:
    """The column of the moment that a row is about, if the rows show it.

    A wrong event time would let a model learn from later rows, or ask of a request what is not known yet. So of several
    columns of times the first in each row is taken if the rows are in its order or series by it, else none. Raises
    ConfigurationError if the column that `choices` names holds no times."""
    if choices.makes_time:
        return choices, None, ()
    if choices.event_time:
        return choices, guesser.event_time(choices.event_time), ()
    # A birthday is no moment that a row is about.
    columns = [one for one in guesser.columns if not why_protected(one.name, one.cells)]
    times = [one for one in columns if one.is_time and one.is_nearly_complete]
    # A single column of times is safe whatever its name. Of several, exactly one must be called like an event time.
    named = times if len(times) == 1 else [one for one in times if is_called(one.name, TIMES)]
    if len(named) == 1:
        reason = "the only column of times" + " that is called like one" * (len(times) > 1)
        others = tuple(one.name for one in times if one is not named[0])
        return choices, Guess(value=named[0], reason=reason, others=others), ()
    if times:
        return _of_several(guesser, times, choices, label)
    doubtful = [one for one in columns if one.is_time or one.may_be_time]
    if choices.looks_ahead or (has_images and not doubtful):
        return choices, None, ()
    if not doubtful:
        return replace(choices, has_no_event_time=True), None, ()
    came = "; ".join(f"{one.name} {one.changed or 'lacks times'}" for one in doubtful)
    numbers = [one.cells.cast(pa.float64(), safe=False).to_numpy(False) for one in doubtful if one.is_number]
    return _generated(choices, came, "--event-time, --rows-in-order", numbers)


def _of_several(guesser: Guesser, times: Sequence[Profile], choices: Choices, label: Profile) -> Settled:
    moments = {one.name: _micros(one) for one in times}
    came, options = f"several columns of times ({', '.join(moments)})", "--event-time, --no-event-time"
    # The day of another column's moment says less than that column.
    times = [one for one in times if not any(_is_day_of(moments[one.name], other_N) for other_N in moments.values())]
    first = next((one for one in times if all(_is_before(moments[one.name], moments[n.name]) for n in times)), None)
    reason = "a label ahead needs a time" if choices.looks_ahead else ""
    is_in_order = first and (_ascends(moments[first.name]) or _ascends(-moments[first.name]))
    if first and (is_in_order or Panels(guesser.fit(label), first).keys()):
        reason = f"no other column of times is before it, and rows are {'in its order' if is_in_order else 'series'}"
    if not reason:
        return _generated(choices, came, options, [*moments.values()])
    value = first or times[0]
    guess = Guess(value=value, reason=reason, others=tuple(name for name in moments if name != value.name))
    return choices, guess, (Doubt(field="event time", came=came, taken=value.name, otherwise=options),)


def without_windows(choices: Choices, event_time: Profile, error: ConfigurationError) -> tuple[Choices, Doubt]:
    """The choices for rows whose own times make no windows or parts, by the error that says so, and the doubt."""
    # Where a part in time lacks a class, the last rows of the file may lack it too.
    moments = [_micros(event_time)] if error.field == "event time" else []
    came = f"{event_time.name}: expected {error.expected}, got {error.came}"
    made, _, [doubt] = _generated(choices, came, "--event-time with another column", moments)
    return made, doubt


def _generated(choices: Choices, came: str, options: str, moments: Sequence[Micros]) -> Settled:
    in_order = any(map(_ascends, moments))
    made = replace(choices, is_in_order=in_order, has_no_event_time=not in_order)
    taken = "none, rows get the time of their drop" + ", and the last rows test, as they are in its order" * in_order
    return made, None, (Doubt(field="event time", came=came, taken=taken, otherwise=options),)


def _micros(column: Profile) -> Micros:
    """The microseconds since 1970; NaN without a time."""
    return np.asarray(micros(column.cells).cast(pa.float64(), safe=False).to_numpy(False))


def is_later(column: Profile, other: Profile) -> bool:
    """Whether the time is never before the other one where both are known, nor on its day alone."""
    moment_N, other_N = _micros(column), _micros(other)
    return not (not (moment_N > other_N).any() or _is_day_of(other_N, moment_N)) and _is_before(other_N, moment_N)


def _is_before(moment_N: Micros, other_N: Micros) -> bool:
    """Whether the moments are never after the other ones, where both are known."""
    return _share(moment_N <= other_N, moment_N + other_N) >= 1 - MOST_MISFITS


def _is_day_of(day_N: Micros, moment_N: Micros) -> bool:
    is_finer = bool(np.any(moment_N % DAY_US > 0))
    return is_finer and _share(day_N == moment_N // DAY_US * DAY_US, day_N + moment_N) >= 1 - MOST_MISFITS


def _ascends(moment_N: Micros) -> bool:
    known_N = moment_N[~np.isnan(moment_N)]
    steps_N = np.diff(known_N)
    return len(np.unique(known_N)) >= FEWEST and _share(steps_N >= 0, steps_N) >= 1 - MOST_MISFITS


def _share(is_so_N: npt.NDArray[np.bool_], both_N: Micros) -> float:
    """The share of the rows in which both are known, 0 to 1."""
    known_N = ~np.isnan(both_N)
    return float(is_so_N[known_N].mean()) if known_N.any() else 0.0
