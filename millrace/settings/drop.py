"""Settings of functions that take drops, or have a drop or its rows on their disk."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment

LARGEST_MB = 512
"""The largest drop, in MiB, that a function takes."""
COPIES = 4
"""How often a drop may be on the function's disk at once: as it came, unpacked, as typed rows and as refused rows."""


class BulkEnvironment(Environment):
    """From which size on a job of Spark does the work."""

    bulk_mb: Annotated[int, Field(ge=0)] = 0
    """A drop of `training`, or small files of a table, above so many MiB; 0 in a stage without such jobs."""


class DropEnvironment(BulkEnvironment):
    """The limit on the size of a drop."""

    drop_mb: Annotated[int, Field(ge=1, le=2048)] = LARGEST_MB
    """The largest object, in MiB, as it was uploaded. A larger one is refused whole with the reason `too_large`."""


class ValidationSettings(DropEnvironment):
    """The limit on the size of a shard."""

    shard_bytes: Annotated[int, Field(ge=4096, le=6 * 1024 * 1024)] = 5 * 1024 * 1024
    """The most bytes of a shard. Batch transform sends at most 6 MB in one request."""


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
