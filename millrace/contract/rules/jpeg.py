"""How often the data of a JPEG go over its pixels, told before they are decoded, in the contract and in a container."""

from __future__ import annotations

import re
from itertools import islice

SCANS = 100
"""A progressive JPEG has about ten. Each costs a walk over all pixels, and may take less than 20 bytes."""
START = re.compile(rb"\xff\xda")


def has_few_scans(cell: bytes | memoryview) -> bool:
    """Whether decoding goes over the pixels `SCANS` times at most.

    Within a scan's data FF is followed by 00, so what looks like the start of a scan is one, or is a small picture's
    among the metadata."""
    return next(islice(START.finditer(cell), SCANS, None), None) is None
