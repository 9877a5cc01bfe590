"""A function that reads drops has memory for them: a file of Parquet with one row group is in memory whole.

Its ingestion takes 330 MB for a drop of 137 MB and 720 MB for one of 502: about 200 MB are Python, the libraries and
the part in work. Text is read a part at a time: 240 MB for a CSV of 154 MB, 270 for one of 308."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given
from infra.rules.ephemeral_storage import LIMIT
from infra.rules.finding import Finding

BESIDE_MB = 512
"""Twice what was measured beside the drop: a part has more bytes where its columns are texts."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function with less memory than a drop of its limit needs, or with Lambda's own 128 MB."""
    for stack in stacks:
        for function in stack.resources("AWS::Lambda::Function"):
            limit_mb = given(function.properties, "Environment", "Variables", LIMIT)
            memory_mb = given(function.properties, "MemorySize")
            if limit_mb is not None and int(memory_mb or 0) < int(limit_mb) + BESIDE_MB:
                expected = f"MemorySize of {int(limit_mb) + BESIDE_MB} MB at least, {LIMIT} and {BESIDE_MB} MB"
                yield Finding(where=function.where, expected=expected, came=memory_mb)
