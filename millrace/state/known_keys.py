"""The newest rows of each key, as the dataset has them: the partitions `known#<workload>#…` of the table `state`.

    key#3f2a…  = {"declared": {"S": "1c9e…"}, "origin": {"S": "9b1d…"}, "place": {"N": "17"},
                  "rows": {"B": zlib of {"timestamp": ["2013-01-01T00:00:00", …], "pm2.5": [129.0, …], …}}}
    mark       = {"declared": …, "origin": …, "place": {"N": "17"}, "snapshot": {"N": "4821940093718391"},
                  "labels": {"N": "0"}}

`place` is the sequence number of the snapshot from which the rows were read. An item is only replaced by one of a later
snapshot, so a writer that comes late changes nothing. The item of a key whose rows have left stays for a day without
rows: such a writer would bring them back. Once all keys that have changed are written, the mark moves on: a writer that
dies leaves its keys to the next one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from millrace.names import WorkloadNames
from millrace.state.item import NEW, Item
from millrace.state.table import Spread, StateTable, Value, delete_after

MOST_BYTES = 390_000
"""The most bytes of the rows of a key; an item has 400 KB:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
EMPTY_KEPT = timedelta(days=1)
"""How long the item of a key without rows stays; no writer takes longer than 15 minutes."""
KEY = "key#"
SPREAD = Spread(kind="known", partitions=16)
"""16,000 units of writing a second, more than the ten threads of a pass use. To list all keys asks each partition."""
NEWER = f"{NEW} OR place < :place OR declared <> :declared OR origin <> :origin"

Cells = Mapping[str, Sequence[Any]]
"""The cells of the rows of a key as JSON holds them, by column; the rows are in the order of their times."""


@dataclass(frozen=True, kw_only=True)
class RowsVersion(Item, key="mark", only_if=NEWER):
    """What was read, and by which declaration."""

    declared: str
    """The digest of what is known of a key."""
    origin: str
    """The id of the Iceberg table, which another table of the same name would not have."""
    place: int
    """The sequence number of the snapshot, and with labels the sum with that of the labels: it only rises."""
    snapshot_id: int = field(metadata={"attribute": "snapshot"})
    labels_id: int = field(metadata={"attribute": "labels"})
    """The snapshot of the labels; 0 if none are known of a key."""


class StoredKeys:
    """The known keys of one workload. `client` is boto3's DynamoDB client; safe for threads, as that is."""

    def __init__(self, client: Any, names: WorkloadNames) -> None:
        self._table = StateTable(client, names, spread=SPREAD)

    def mark(self) -> RowsVersion | None:
        """Up to which version all keys are written; None before the first time."""
        return RowsVersion.find(self._table)

    def advance(self, version: RowsVersion) -> bool:
        """Move the mark to `version`, unless it is there or further. Returns whether it moved."""
        return version.put(self._table)

    def put(self, key: str, rows: Cells, version: RowsVersion, *, now: datetime) -> bool:
        """Write what is known of a key. Returns False, and writes nothing, if an item of no earlier version is there.

        If the rows take more than MOST_BYTES, the older half of them goes, until they do not."""
        packed = _pack(rows)
        while len(packed) > MOST_BYTES:
            rows = {name: cells[(len(cells) + 1) // 2 :] for name, cells in rows.items()}
            packed = _pack(rows)
        item: dict[str, Value] = {**version.attributes, "rows": packed}
        if not any(rows.values()):
            item |= delete_after(now + EMPTY_KEPT)
        compared = {name: item[name] for name in ("place", "declared", "origin")}
        return self._table.put(f"{KEY}{key}", item, NEWER, **compared)

    def keys(self) -> set[str]:
        """All keys that have an item."""
        return set(self._table.items(KEY))

    def find(self, keys: Sequence[str], *, declared: str) -> dict[str, Cells]:
        """The rows of the keys that are known by this declaration. Raises ClientError if some cannot be read."""
        return {
            key: json.loads(zlib.decompress(bytes(item["rows"]["B"])))
            for key, item in self._table.find(KEY, keys).items()
            if item["declared"]["S"] == declared
        }


def _pack(rows: Cells) -> bytes:
    return zlib.compress(json.dumps(rows, separators=(",", ":"), allow_nan=False).encode())
