"""Why a drop was rejected, as far as the state of a machine has room for it: a header may be longer than all of it."""

from __future__ import annotations

from itertools import accumulate

from millrace.messages.ingest import bytes_in_json

MOST_WORDS, MOST_JSON = 500, 2000
"""Characters, and bytes as JSON writes them."""


def cut(text: str) -> str:
    """The beginning of the text that an answer has room for."""
    ends = accumulate(map(bytes_in_json, text[:MOST_WORDS]))
    return text[: sum(end <= MOST_JSON for end in ends)]
