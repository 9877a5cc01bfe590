"""The secret that draws the held-out share, so that who sends rows cannot tell which are held out: item `held-out`.

    held-out = {"secret": {"S": "5b1f…"}}

Whoever decides first draws it. It stays, so that a row which comes again is held out again."""

from __future__ import annotations

import secrets

from millrace.state.item import NEW
from millrace.state.table import StateTable

KEY = "held-out"
BYTES = 32


def held_out_secret(table: StateTable) -> str:
    """The workload's secret, drawn if there is none yet."""
    if not (item := table.get(KEY)):
        table.put(KEY, {"secret": secrets.token_hex(BYTES)}, NEW)
        item = table.get(KEY)
    return str(item["secret"]["S"])
