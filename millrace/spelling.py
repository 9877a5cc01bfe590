"""Finds a known name that is spelled like an unknown one, for error messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice

LONGEST = 64
"""The most characters of a name that is compared. The time of a comparison grows with the square of the length."""
MOST = 16
"""The most unknown names that are compared: a file or a request may have tens of thousands."""


def did_you_mean(unknown: Iterable[str], known: Iterable[str]) -> str:
    """` (did you mean 'outcome'?)`: the known names that are most like the unknown ones, whatever their case.

    Empty if no known name is like any of them. Only the first MOST unknown names are compared."""
    names = tuple(known)
    meant = [match for name in islice(unknown, MOST) if (match := nearest(name, names))]
    return f" (did you mean {' and '.join(map(repr, meant))}?)" if meant else ""


def one_of(unknown: str, known: Iterable[str]) -> str:
    """What is expected instead of the unknown name: `one of outcome, input (did you mean 'outcome'?)`."""
    names = tuple(known)
    return f"one of {', '.join(names)}{did_you_mean([unknown], names)}"


@lru_cache(maxsize=256)
def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is most like `name`, whatever its case. Empty if none is like it."""
    from difflib import get_close_matches

    by_letters = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_letters, n=1) if len(name) <= LONGEST else []
    return by_letters[close[0]] if close else ""
