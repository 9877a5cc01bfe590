"""Settings of the prediction function."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment

ROWS_PER_CALL = 1000
"""The most rows of one request."""
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The id that a caller may give to a request."""


class PredictionSettings(Environment):
    """The queue of decisions, and the time that the endpoint may take."""

    decisions_queue_url: str
    endpoint_timeout_s: Annotated[int, Field(ge=1, le=60)] = 5
    """The seconds that one of two tries may take. The endpoint itself gives up after 60 s, an HTTP API after 30 s."""
