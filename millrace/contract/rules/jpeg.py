"""Tells how often the data of a JPEG go over its pixels, before they are decoded: for contracts and containers."""

from __future__ import annotations

import re
from itertools import islice

SCANS = 100
"""The most scans of a JPEG. A progressive one has about ten. Each scan costs a walk over all pixels, and it may take
less than 20 bytes."""
START = re.compile(rb"\xff\xda")


def has_few_scans(cell: bytes | memoryview) -> bool:
    """Whether decoding goes over the pixels at most `SCANS` times.

    Within the data of a scan 00 follows each FF. So what looks like the start of a scan is one, or it belongs to a
    small picture among the metadata."""
    # The search stops at the first scan that is too many.
    return next(islice(START.finditer(cell), SCANS, None), None) is None
