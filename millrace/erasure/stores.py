"""Every folder in which a person may stand: how it is erased, or why it has none of them.

Tests compare the folders with those that have a rule of retention, and the items with those of the table `state`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

STATE = "state"
"""The items in DynamoDB."""
ANSWERS, REVIEWS = ("request#", "group#", "held#"), ("item#", "wait#", "done#", "said#", "two#")
"""The items in the partition of the workload, and in those of its reviews, that may name a person."""

FOLDERS: Mapping[str, str] = {
    "landing/objects": "images",
    "landing/labels": "records",
    "landing/scoring": "records",
    "landing/training": "records",
    "landing/erased": "records",
    "lake/staging": "objects",
    "lake/windows": "objects",
    "lake/quarantine": "raw records",
    "lake/monitor": "records",
    "lake/climbs": "records",
    "lake/captured": "images",
    "lake/iceberg": "tables",
    "lake/predictions": "records",
    "lake/decisions": "records",
    "artefacts/runs": "samples",
    "artefacts/external": "none: weights",
    "artefacts/checkpoints": "none: weights, and gone after a month",
}
"""By bucket and folder below `<workload>/`, in the order in which they are erased, what goes: the person's `records` of
a file, by their key; `images` that such records name; of `raw records` also those that name the person in the text as
it came, since that has no columns; whole `objects`; rows of `tables`, with their snapshots and files; records of the
`samples` of models alone, beside which reports have features and groups; or why there is nothing.

Decisions come last: by their ids the other records are found, also by a second call."""


class NamedIn(NamedTuple):
    """Where images of a store are named, and how."""

    name: re.Pattern[bytes]
    stores: tuple[str, ...]


IMAGES: Mapping[str, NamedIn] = {
    "landing/objects": NamedIn(re.compile(rb'"object"\s*:\s*"([^"]+)"'), tuple(FOLDERS)[1:5]),
    "lake/captured": NamedIn(re.compile(rb"/captured/([0-9a-f]{64})"), ("lake/decisions",)),
}
AFTER_DROPS = "lake/staging"
"""The first store after those of dropped files: what runs hand on."""
ERASED = (*(store for store, how in FOLDERS.items() if not how.startswith("none")), STATE)
"""The stores that are erased, and looked at again."""
WEIGHTS = (".tar.gz", ".safetensors", ".onnx")
"""Endings of objects of which no record is read back."""


def folders(bucket: str) -> list[str]:
    """The folders of a bucket out of which the function may erase."""
    return [store.partition("/")[2] for store in ERASED if store.startswith(bucket)]
