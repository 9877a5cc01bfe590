"""Settings of the intake function."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment


class IntakeSettings(Environment):
    """The queue of drops, that for events that are not ours, and the number of drops in work at once."""

    queue_url: str
    dead_queue_url: str
    slots: Annotated[int, Field(ge=1, le=10)] = 10
    """Running executions of each machine at most; a further drop waits in the queue. More than ten would lose commits
    to each other: `ATTEMPTS` in `millrace/datasets/commits.py` is for as many."""
    has_images: bool = False
    """A drop of rows may name objects that are larger than itself: it goes alone."""
