"""Pseudonyms of withdrawn keys. The item `pseudonym` = {"secret": {"B": 32 random bytes}}.

Nobody can erase what the audit holds, so a record names a key by its HMAC under a secret of the workload. Who has the
key and may read the item can tell its records; without the item nobody can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from millrace.state.item import NEW
from millrace.state.table import StateTable

ITEM = "pseudonym"
SECRET_BYTES = 32


class Pseudonyms:
    """The pseudonyms of one workload."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def of(self, cells: Mapping[str, object]) -> str:
        """64 hexadecimal digits, the same for the same columns and cells. The first call makes the secret."""
        self._table.put(ITEM, {"secret": secrets.token_bytes(SECRET_BYTES)}, NEW)
        secret = bytes(self._table.get(ITEM)["secret"]["B"])
        return hmac.new(secret, json.dumps(dict(cells), sort_keys=True).encode(), hashlib.sha256).hexdigest()
