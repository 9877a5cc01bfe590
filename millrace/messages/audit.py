"""The events of the audit table and the details that each carries."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from millrace.messages.envelope import Message
from millrace.messages.execution import Unwanted
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.teardown import TeardownStep
from millrace.messages.train import GatesJudged
from millrace.messages.withdrawal import Withdrawn


class AuditEvent(StrEnum):
    """What was decided or done."""

    MODEL_PASSED = "model.passed"
    MODEL_REFUSED = "model.refused"
    RELEASE_LIVE = "release.live"
    RELEASE_ROLLED_BACK = "release.rolled_back"
    RELEASE_FAILED = "release.failed"
    RETRAIN_ACCEPTED = "retrain.accepted"
    RETRAIN_REFUSED = "retrain.refused"
    TEARDOWN_STEP = "teardown.step"
    ROWS_WITHDRAWN = "rows.withdrawn"


class VersionLive(Message):
    """A version became the champion."""

    version: str
    revision: int
    """Of the release pointers."""


class VersionRolledBack(VersionLive):
    """An earlier version became the champion again."""

    by: str
    """Identity of the person."""
    reason: str
    """In the person's words."""
    replaced: str
    """The version that was live."""


class ReleaseFailed(Message):
    """A release ended otherwise than planned."""

    status: Unwanted
    error: str | None
    cause: str | None
    input: str | None
    """JSON."""


class ResourcesRemoved(Message):
    """What one step of a teardown took away."""

    step: TeardownStep
    found: tuple[str, ...]


class RowsWithdrawn(Withdrawn):
    """A person took rows out of the tables."""

    by: str
    """Identity of the person."""
    reason: str
    """In the person's words."""
    key: Mapping[str, str | int | float | bool]
    drop: str


DETAILS: Mapping[AuditEvent, type[Message]] = {
    AuditEvent.MODEL_PASSED: GatesJudged,
    AuditEvent.MODEL_REFUSED: GatesJudged,
    AuditEvent.RELEASE_LIVE: VersionLive,
    AuditEvent.RELEASE_ROLLED_BACK: VersionRolledBack,
    AuditEvent.RELEASE_FAILED: ReleaseFailed,
    AuditEvent.RETRAIN_ACCEPTED: RetrainingDecided,
    AuditEvent.RETRAIN_REFUSED: RetrainingDecided,
    AuditEvent.TEARDOWN_STEP: ResourcesRemoved,
    AuditEvent.ROWS_WITHDRAWN: RowsWithdrawn,
}
"""The class of the details by event."""
