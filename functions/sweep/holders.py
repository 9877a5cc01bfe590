"""Finds slots and leases whose execution has ended, or was never started.

    the execution runs        nothing
    the execution has ended   its event was lost: an event for `cleanup` is made
    there is no execution     the holding is marked; it is freed by a pass at least MISSING_FOR later

A holder that is no execution (`sweep <id>`, a registered version) counts as one without an execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.messages.envelope import Message
from millrace.messages.execution import ENDED, ExecutionEnded
from millrace.state.holdings import Holding, Holdings
from millrace.timestamps import format_utc

MISSING_FOR = timedelta(minutes=30)
"""Longer than the intake can take from taking a slot to starting its execution."""
CAUSE = "sweep"


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """What one pass found."""

    ended: tuple[dict[str, Any], ...]
    """For each ended execution that still holds something, an event as `cleanup` takes it.

    An execution always gives the same event, so that repeated events cause the same thing once."""
    freed: tuple[str, ...]
    """The keys of the slots and leases that were freed, since their holders have no execution."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass over all slots and leases. `states` is boto3's Step Functions client."""

    states: Any
    held: Sequence[Holdings]
    as_of: datetime

    def find(self) -> PassResult:
        """Look at every holder, and mark or free those without an execution. Returns what was found."""
        ended, freed = {}, []
        for held in self.held:
            for one in held.holdings():
                answer = self.describe(one.holder)
                if answer is None:
                    freed += [one.key] if self._free(held, one) else []
                elif answer["status"] in ENDED:
                    # By holder: an execution may hold several leases, and gives one event.
                    detail = ExecutionEnded(**answer).detail()
                    ended[one.holder] = {"cause": CAUSE, "as_of": format_utc(answer["stopDate"]), "detail": detail}
        return PassResult(ended=tuple(ended.values()), freed=tuple(freed))

    def describe(self, holder: str) -> dict[str, Any] | None:
        """Step Functions' description of the execution. None if there is no such execution.

        The answer may be some seconds old, so an execution that has just started may be missing:
        https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html"""
        if ":execution:" not in holder:
            return None
        try:
            answer: dict[str, Any] = self.states.describe_execution(executionArn=holder)
        except self.states.exceptions.ExecutionDoesNotExist:
            return None
        return answer

    def _free(self, held: Holdings, holding: Holding) -> bool:
        """Mark the holding the first time, free it when the mark is old enough. Returns whether it was freed."""
        if holding.missing_since is None:
            held.mark_missing(holding, as_of=self.as_of)
            return False
        return holding.missing_since + MISSING_FOR <= self.as_of and held.free_missing(holding)


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
