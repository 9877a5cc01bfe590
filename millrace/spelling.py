"""Names that are spelled alike, for a message about one that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

LONGEST = 64
"""Characters of a name that is compared: the time for it grows with their square."""


def did_you_mean(unknown: Iterable[str], known: Iterable[str]) -> str:
    """` (did you mean 'outcome'?)`, with the known name that is most like each of the unknown ones, whatever the case
    of its letters; empty where none is like any."""
    names = tuple(known)
    meant = [match for name in unknown if (match := nearest(name, names))]
    return f" (did you mean {' and '.join(map(repr, meant))}?)" if meant else ""


@lru_cache(maxsize=256)
def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is most like it; empty where none is."""
    from difflib import get_close_matches

    by_letters = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_letters, n=1) if len(name) <= LONGEST else []
    return by_letters[close[0]] if close else ""
