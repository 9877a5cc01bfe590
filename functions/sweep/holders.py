"""Slots and leases whose holder has ended, or was never started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.messages.execution import ENDED, ExecutionEnded
from millrace.state.holding import Holding, Holdings
from millrace.timestamps import format_utc

MISSING_FOR = timedelta(minutes=30)
"""So long the intake, which takes a slot before it starts the execution, can certainly not need for both."""
CAUSE = "sweep"


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """What one pass found."""

    ended: tuple[dict[str, Any], ...]
    """An event, as the cleanup function takes it, for each ended execution that holds something still.

    The same execution gives the same event, however often: what the event leads to happens once."""
    freed: tuple[str, ...]
    """The keys of what executions held that do not exist, in this pass and in one at least MISSING_FOR before."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass over what is held. `states` is boto3's Step Functions client."""

    states: Any
    held: Sequence[Holdings]
    as_of: datetime

    def find(self) -> PassResult:
        """What was found; a holder whose execution is missing for the first time is marked."""
        ended, freed = {}, []
        for held in self.held:
            for one in held.holdings():
                answer = self.describe(one.holder)
                if answer is None:
                    freed += [one.key] if self._free(held, one) else []
                elif answer["status"] in ENDED:
                    detail = ExecutionEnded(**answer).detail()
                    ended[one.holder] = {"cause": CAUSE, "as_of": format_utc(answer["stopDate"]), "detail": detail}
        return PassResult(ended=tuple(ended.values()), freed=tuple(freed))

    def describe(self, holder: str) -> dict[str, Any] | None:
        """What Step Functions says of the execution; None where there is none.

        The answer may be some seconds old, so one that has just started may be missing:
        https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html"""
        if ":execution:" not in holder:
            return None
        try:
            answer: dict[str, Any] = self.states.describe_execution(executionArn=holder)
        except self.states.exceptions.ExecutionDoesNotExist:
            return None
        return answer

    def _free(self, held: Holdings, holding: Holding) -> bool:
        if holding.missing_since is None:
            held.mark_missing(holding, as_of=self.as_of)
            return False
        return holding.missing_since + MISSING_FOR <= self.as_of and held.free_missing(holding)
