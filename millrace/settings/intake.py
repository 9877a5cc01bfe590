"""Settings of the intake function."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment


class IntakeSettings(Environment):
    """The queues of the intake, and how many executions run at once."""

    queue_url: str
    """The queue of drops."""
    dead_queue_url: str
    """The dead-letter queue, for messages that are no drop."""
    slots: Annotated[int, Field(ge=1, le=10)] = 10
    """The most running executions of each feed with drops that go alone. A further drop waits in the queue.

    More than ten would lose too many commits to each other: `ATTEMPTS` in `millrace/datasets/commits.py` is for ten."""
    slots_together: Annotated[int, Field(ge=1, le=10)] = 5
    """The most running executions of each feed with groups of small drops. Half of what goes alone: the next group
    gathers while they are read at once and commit in turns."""
    has_images: bool = False
    """Whether the workload has images. A drop of rows may then name objects that are larger than itself, so it has an
    execution of its own."""
