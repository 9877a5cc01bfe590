"""What the intake function is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment


class IntakeSettings(Environment):
    """Where an event that is none of ours goes, and how many drops are worked on at once."""

    dead_queue_url: str
    slots: Annotated[int, Field(ge=1, le=100)] = 10
    """Running executions of each machine at most; a further drop waits in the queue."""
