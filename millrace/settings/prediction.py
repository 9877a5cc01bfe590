"""Settings of the prediction function."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment

ROWS_PER_CALL = 1000
"""Rows of one request at most."""


class PredictionSettings(Environment):
    """Where decisions go and how long the endpoint may take."""

    decisions_queue_url: str
    endpoint_timeout_s: Annotated[int, Field(ge=1, le=60)] = 5
    """For one try of two; the endpoint itself gives up after 60 s, an HTTP API after 30 s."""
