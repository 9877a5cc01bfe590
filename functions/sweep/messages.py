"""What calls the sweep, and what it answers."""

from __future__ import annotations

from millrace.messages.envelope import Message


class Scheduled(Message):
    """The detail of a schedule's call: {"workload": "electricity", "schedule": "sweep"}."""

    schedule: str


class Swept(Message):
    """What one sweep found."""

    ended: tuple[str, ...]
    """Executions that had ended and still held something. `cleanup` was called for each."""
    freed: tuple[str, ...]
    """The keys of slots and leases that were freed, since their holders have no execution."""
    deleted: tuple[str, ...]
    """Endpoints and alarms that a failed release had left."""


class Noted(Message):
    """The answer to the event of a failure: the execution is noted."""

    execution_arn: str
