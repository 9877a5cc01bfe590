"""Follow a run, and all runs that it causes, until they have ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from millrace.console.queries.executions import Execution, answer, trained_for
from millrace.console.queries.runs import SHORT, Run, RunDetail, describe_run, find_run, list_runs, read_execution
from millrace.errors import RunError
from millrace.messages.execution import FAILURES
from millrace.messages.train import BudgetChecked, BudgetRefusal
from millrace.names import WorkloadNames
from millrace.state.claims import Start


class Named(Protocol):
    """A run that is to be followed."""

    @property
    def machine(self) -> str: ...
    @property
    def name(self) -> str: ...


OPEN = ("RUNNING", "PENDING_REDRIVE")
"""Statuses of a run that has not ended."""


@dataclass(frozen=True, kw_only=True)
class Follower:
    """Polls runs until they have ended."""

    states: Any
    """boto3's Step Functions client."""
    names: WorkloadNames
    moving: Callable[[str, str], None] = lambda _, __: None
    """Called with a short status, which the next one replaces, and the name of the training job that runs, if any."""
    said: Callable[[str], None] = lambda _: None
    """Called with a line that stays on the screen."""
    poll_s: float = 1.0
    """Seconds between two looks."""
    grace_s: float = 5.0
    """How long to wait for a run that an event starts, in seconds."""
    limit_s: float = 24 * 3600.0
    """How long to wait for the end of one run, in seconds."""

    def wait_for(self, find: Callable[[], Named | None], *, limit_s: float) -> Run:
        """The run that `find` names, as soon as it exists. Raises RunError if that takes more than `limit_s`
        seconds."""
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
            self.moving("waiting for the intake", "")
            time.sleep(self.poll_s)

    def run_of_drop(self, find: Callable[[], Start | None], drop_id: str, *, limit_s: float) -> Run:
        """The run that works on the drop, as `find` names it.

        If a run that has several drops fails, the intake starts a run for each drop. Then the drop's own run is
        returned.
        Raises RunError as `wait_for` does."""
        # The run of a single drop has the drop's id as its name. A run with another name has several drops.
        run = self.wait_for(find, limit_s=limit_s)
        if run.name == drop_id or self.end_of(run.arn).run.status not in FAILURES:
            return run

        def find_own() -> Start | None:
            found = find()
            return found if found and found.name == drop_id else None

        return self.wait_for(find_own, limit_s=limit_s)

    def follow(self, arn: str) -> Iterator[RunDetail]:
        """The run when it has ended, then each run that it caused, and so on.

        A first training may be needless because another training has begun. That other training is followed then."""
        # A walk in breadth over the runs. `known` has each run that was ever queued, so that none is followed twice.
        waiting = [arn]
        known = set(waiting)
        while waiting:
            detail = self.end_of(waiting.pop(0))
            yield detail
            fresh = [each for each in (*self._children(detail), *self._instead(detail)) if each not in known]
            known.update(fresh)
            waiting.extend(fresh)

    def end_of(self, arn: str) -> RunDetail:
        """The run when it has ended; raises RunError if it has not ended within the follower's `limit_s`."""
        run = find_run(self.states, self.names, arn)
        end = time.monotonic() + self.limit_s
        while run.status in OPEN:
            if time.monotonic() > end:
                raise RunError(f"{run.machine} {run.name}: expected its end within {self.limit_s:.0f} s, it still runs")
            state, job = self._state(arn)
            self.moving(f"{run.machine}: {state}".removesuffix(": "), job)
            time.sleep(self.poll_s)
            run = find_run(self.states, self.names, arn)
        return describe_run(self.states, self.names, run)

    def _children(self, detail: RunDetail) -> list[str]:
        """The ARNs of the runs that this run caused. Runs that an event starts get `grace_s` to appear."""
        # EventBridge starts the next run some time after the event was put. So a run that put an event is described
        # again until a child appears or the grace is over.
        puts = any(step.call and step.call.service == "events" for step in detail.steps)
        end = time.monotonic() + (self.grace_s if puts else 0)
        while not detail.children and time.monotonic() < end:
            self.moving(f"what follows from {detail.run.machine}", "")
            time.sleep(self.poll_s)
            detail = describe_run(self.states, self.names, detail.run)
        return detail.children

    def _instead(self, detail: RunDetail) -> Iterator[str]:
        """The ARN of the training that made this one needless, if there is one."""
        if other := training_instead(self.states, self.names, detail.execution):
            self.said(f"follows train {other.name[:SHORT]}, whose model is the first")
            yield other.arn

    def _state(self, arn: str) -> tuple[str, str]:
        """The name of the state that the run entered last, and of the training job that it scheduled; empty if none."""
        events = self.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=50)["events"]
        job = ""
        for event in events:
            if scheduled := event.get("taskScheduledEventDetails"):
                job = job or str(json.loads(scheduled["parameters"]).get("TrainingJobName", ""))
            if entered := event.get("stateEnteredEventDetails"):
                return entered["name"], job
        return "", job


LOOKED_AT = 20
"""How many of the newest trainings are looked through. Each file that arrives during the first training starts a run
that does not train."""


def training_instead(states: Any, names: WorkloadNames, execution: Execution) -> Run | None:
    """The training because of which this first training did not start; None if the execution is not such a run.

    That training was still running, or its version was being released. `states` is boto3's Step Functions client."""
    if execution.machine != "train" or trained_for(execution) != "first" or not _was_in_the_way(execution):
        return None
    # Newest first. The first run that began before this one ended and that was not itself refused is the one that
    # trained. A run without an answer of `budget` yet may still train.
    for run in list_runs(states, names, machine="train", limit=LOOKED_AT):
        if run.arn != execution.arn and run.started <= execution.stopped:
            budgeted = answer(read_execution(states, run), "budget", BudgetChecked)
            if budgeted is None or budgeted.accepted:
                return run
    return None


def _was_in_the_way(execution: Execution) -> bool:
    budgeted = answer(execution, "budget", BudgetChecked)
    return budgeted is not None and budgeted.reason in (BudgetRefusal.BUSY, BudgetRefusal.RELEASE)
