"""Settings of the functions that ask the endpoint."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from millrace.settings.environment import Environment

ROWS_PER_CALL = 1000
"""The most rows of one request."""
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The id that a caller may give to a request."""
KEY = re.compile(r"[\x21-\x7e]{1,255}")
"""An Idempotency-Key: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/."""
BROUGHT: tuple[Literal["training", "labels"], ...] = ("training", "labels")
"""The feeds whose rows the REST API takes."""
BY_API = "api"
"""The folder of a feed with what came by the REST API."""

DAYS, MOST_DAYS = 31, 366
"""The days of event time among which a caller's decision is looked for: without his own choice, and at most."""


class RoadSettings(Environment):
    """The queue of decisions, and the time that the endpoint may take."""

    decisions_queue_url: str
    endpoint_timeout_s: Annotated[int, Field(ge=1, le=60)] = 5
    """The seconds that one of two tries may take. The endpoint itself gives up after 60 s, an HTTP API after 30 s."""


class StreamSettings(RoadSettings):
    """Where refused records go, too."""

    dead_letters_url: str


class JobsSettings(RoadSettings):
    """How often a job is tried, too."""

    tries: Annotated[int, Field(ge=1)]


class PredictionSettings(RoadSettings):
    """What one caller may send, and where jobs wait, too."""

    jobs_queue_url: str | None = None
    """None for a workload without jobs."""

    caller_requests_per_s: Annotated[int, Field(ge=1)] | None = None
    """The requests of one caller in a second, in the long run; None for as many as he likes."""
    caller_burst: Annotated[int, Field(ge=1)] | None = None
    """The requests of one caller at once. It has a value if `caller_requests_per_s` has one."""
