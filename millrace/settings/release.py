"""Settings of the functions that release versions, or refuse those that nobody has approved."""

from __future__ import annotations

from millrace.settings.environment import Environment
from millrace.workload.rollout import Approval


class ReleaseSettings(Environment):
    """Who approves a version in this stage."""

    approval: Approval
