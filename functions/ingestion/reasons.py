"""Why a drop was rejected, as far as the state of a machine has room for it: a header may be longer than all of it."""

from __future__ import annotations

import json
from itertools import accumulate

MOST_WORDS, MOST_JSON = 500, 2000
"""Characters, and bytes as JSON writes them: a letter that is not of ASCII takes six or twelve."""


def cut(text: str) -> str:
    """The beginning of the text that an answer has room for."""
    ends = accumulate(len(json.dumps(character)) - len('""') for character in text[:MOST_WORDS])
    return text[: sum(end <= MOST_JSON for end in ends)]
