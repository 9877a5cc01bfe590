"""Follow a run, and the runs that it causes, to their ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from console.actions.needless import training_instead
from console.queries.runs import SHORT, Run, RunDetail, describe_run, find_run
from millrace.errors import RunError
from millrace.messages.execution import FAILURES
from millrace.names import WorkloadNames
from millrace.state.claims import Start

OPEN = ("RUNNING", "PENDING_REDRIVE")


@dataclass(frozen=True, kw_only=True)
class Follower:
    """Looks at runs until they have ended."""

    states: Any
    """boto3's Step Functions client."""
    names: WorkloadNames
    moving: Callable[[str], None] = lambda _: None
    """Called with a short status."""
    said: Callable[[str], None] = lambda _: None
    """Called with a line that stays."""
    poll_s: float = 1.0
    grace_s: float = 5.0
    """Seconds that an event may take to start a run."""
    limit_s: float = 24 * 3600.0

    def wait_for(self, find: Callable[[], Start | None], *, limit_s: float) -> Run:
        """The run that `find` names, as soon as it is there; raises RunError when it is not within `limit_s`."""
        end = time.monotonic() + limit_s
        while True:
            with suppress(RunError):  # the intake notes a run, then starts it
                if named := find():
                    return find_run(self.states, self.names, self.names.execution_arn(named.machine, named.name))
            if time.monotonic() > end:
                raise RunError(
                    f"expected a run within {limit_s:.0f} s, got none: the intake starts it when a slot is free, "
                    f"one that scores once a model is live, and puts what is no drop on "
                    f"{self.names.queue('drops')}-dead"
                )
            self.moving("waiting for the intake")
            time.sleep(self.poll_s)

    def run_of_drop(self, find: Callable[[], Start | None], drop_id: str, *, limit_s: float) -> Run:
        """The run that has the drop, as `find` says: where one with other drops fails, the drop's own after it.

        Raises RunError as `wait_for`."""
        run = self.wait_for(find, limit_s=limit_s)
        if run.name == drop_id or self.end_of(run.arn).run.status not in FAILURES:
            return run

        def find_own() -> Start | None:
            found = find()
            return found if found and found.name == drop_id else None

        return self.wait_for(find_own, limit_s=limit_s)

    def follow(self, arn: str) -> Iterator[RunDetail]:
        """The run when it has ended, then each run that it caused, and so on.

        A first training that another one made needless is followed by that other one."""
        waiting = [arn]
        known = set(waiting)
        while waiting:
            detail = self.end_of(waiting.pop(0))
            yield detail
            fresh = [each for each in (*self._children(detail), *self._instead(detail)) if each not in known]
            known.update(fresh)
            waiting.extend(fresh)

    def end_of(self, arn: str) -> RunDetail:
        """The run when it has ended; raises RunError when it has not within `limit_s`."""
        run = find_run(self.states, self.names, arn)
        end = time.monotonic() + self.limit_s
        while run.status in OPEN:
            if time.monotonic() > end:
                raise RunError(f"{run.machine} {run.name}: expected its end within {self.limit_s:.0f} s, it still runs")
            self.moving(f"{run.machine}: {self._state(arn)}".removesuffix(": "))
            time.sleep(self.poll_s)
            run = find_run(self.states, self.names, arn)
        return describe_run(self.states, self.names, run)

    def _children(self, detail: RunDetail) -> list[str]:
        """ARNs of the runs that it caused; waits `grace_s` for those started by an event."""
        puts = any(step.call and step.call.service == "events" for step in detail.steps)
        end = time.monotonic() + (self.grace_s if puts else 0)
        while not detail.children and time.monotonic() < end:
            self.moving(f"what follows from {detail.run.machine}")
            time.sleep(self.poll_s)
            detail = describe_run(self.states, self.names, detail.run)
        return detail.children

    def _instead(self, detail: RunDetail) -> Iterator[str]:
        """The ARN of the training that made this one needless."""
        if other := training_instead(self.states, self.names, detail.execution):
            self.said(f"follows train {other.name[:SHORT]}, whose model is the first")
            yield other.arn

    def _state(self, arn: str) -> str:
        """The state that was entered last."""
        events = self.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=50)["events"]
        names = (event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event)
        return next(names, "")
