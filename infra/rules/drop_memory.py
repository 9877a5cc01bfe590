"""Rule: a function that reads drops has enough memory for them.

A Parquet file with one row group is in memory as a whole. Its ingestion takes 330 MB for a drop of 137 MB, and 720 MB
for one of 502 MB. About 200 MB of that are Python, the libraries and the part in work. Text is read in parts: 240 MB
for a CSV of 154 MB, 270 MB for one of 308 MB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given
from infra.rules.ephemeral_storage import LIMIT
from infra.rules.finding import Finding

BESIDE_MB = 512
"""Memory beside the drop: twice what was measured, since a part with columns of text has more bytes."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function with less memory than the largest drop needs, or with Lambda's default of 128 MB."""
    for stack in stacks:
        for function in stack.resources("AWS::Lambda::Function"):
            limit_mb = given(function.properties, "Environment", "Variables", LIMIT)
            memory_mb = given(function.properties, "MemorySize")
            if limit_mb is not None and int(memory_mb or 0) < int(limit_mb) + BESIDE_MB:
                expected = f"MemorySize of {int(limit_mb) + BESIDE_MB} MB at least, {LIMIT} and {BESIDE_MB} MB"
                yield Finding(where=function.where, expected=expected, came=memory_mb)
