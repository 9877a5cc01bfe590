"""Secrets of a workload, each drawn by whoever needs it first: items `held-out` and `pseudonym`.

    held-out = {"secret": {"S": "5b1f…"}}

`held-out` draws the held-out share, so that who sends rows cannot tell which are held out, and a row that comes again
is held out again. `pseudonym` is the key of the names under which the audit has those who were erased."""

from __future__ import annotations

import secrets

from millrace.state.item import NEW
from millrace.state.table import StateTable

HELD_OUT, PSEUDONYM = "held-out", "pseudonym"
BYTES = 32


def own_secret(table: StateTable, key: str) -> str:
    """The workload's secret under this key."""
    if not (item := table.get(key)):
        table.put(key, {"secret": secrets.token_hex(BYTES)}, NEW)
        item = table.get(key)
    return str(item["secret"]["S"])
