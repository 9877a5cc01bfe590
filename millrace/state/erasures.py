r"""How far an erasure has come, and the names under which the audit has those who were erased.

    erasure#erase-5d7c = {"counts": {"S": "{\"lake/decisions\": [2, 0]}"}, "step": {"N": "7"}, …}

Nobody can erase what the audit holds, so a record names a key by its HMAC under a secret of the workload. Who has the
key and may read the item can tell its records; without the item nobody can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from millrace.state.item import Form, Item
from millrace.state.table import Attribute, delete_after

KEPT = timedelta(days=30)
"""How long a repeated request finds what the first one has done."""
JSON = {"form": Form(json.loads, json.dumps)}


def pseudonym_of(cells: Mapping[str, object], secret: str) -> str:
    """64 hexadecimal digits, the same for the same columns and cells under the workload's secret PSEUDONYM."""
    said = json.dumps(dict(cells), sort_keys=True)
    return hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()


@dataclass(kw_only=True)
class ErasureProgress(Item, key="erasure#{cause}"):
    """What left each store so far. Whoever erases changes it in place."""

    cause: str
    until: datetime
    """Until when a repeated request finds it."""
    counts: dict[str, list[int]] = field(default_factory=dict, metadata=JSON)
    """By store, what left it, and what the second look found: {"lake/decisions": [2, 0]}."""
    step: int = 0
    """How many of the erasure's steps are done."""
    at: str = ""
    """What goes next, and is counted already: a call that was killed may have left it."""
    versions: list[str] = field(default_factory=list, metadata=JSON)
    """The tags of dataset versions that are gone."""
    pseudonyms: list[str] = field(default_factory=list, metadata=JSON)
    """Of the people whom a call has found or was told."""

    @property
    def attributes(self) -> dict[str, Attribute]:
        return super().attributes | delete_after(self.until)

    @property
    def told(self) -> dict[str, Any]:
        """What the answer and the audit say: of the stores that had something."""
        counts = ((store, *found) for store, found in self.counts.items() if any(found))
        stores = [{"store": store, "removed": removed, "left": left} for store, removed, left in counts]
        return {"stores": stores, "versions": self.versions, "pseudonyms": self.pseudonyms}
