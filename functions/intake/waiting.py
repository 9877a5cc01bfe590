"""How long a message waits that finds no slot, and how often it has waited."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

DELAY_S, LONGER, MOST_DELAY_S = 2, 1.2, 300
"""A drop that waits comes again after DELAY_S seconds. Each further delay is LONGER times as long, up to MOST_DELAY_S:
so a drop waits a fifth longer than it must."""
MOST_EXPONENT = 100
"""A bound on the exponent of LONGER, far beyond the longest delay: after some thousand waits the power would be larger
than any float."""
SPREAD = 0.5
"""The share by which a delay may be shorter or longer, at random. Otherwise all drops of a burst would come back in one
moment: some groups of them would find a slot, and the slots would then be empty until the next such moment."""


def delay_of(waits: int) -> int:
    """The seconds of this wait; the first is number 1."""
    usual_s = min(MOST_DELAY_S, DELAY_S * LONGER ** min(waits - 1, MOST_EXPONENT))
    return round(usual_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311 # nosec B311 # parts retries


def waits_of(record: SQSRecord) -> int:
    """How often the message has waited so far."""
    given: Mapping[str, Any] = record["messageAttributes"]
    return int(given.get("waits", {}).get("stringValue", 0))
