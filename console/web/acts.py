"""What a person does from a page, beside deciding on a version: what happens and what it costs are said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from millrace.console.actions.approve import acknowledge, rerun, roll_back, switch
from millrace.console.environment import Environment
from millrace.console.queries.alarms import check_raised, find_alarm_states
from millrace.console.queries.live import declared_automates
from millrace.console.queries.runs import find_run
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a person can do to a workload."""

    title: str
    """What is done, before the name of what it is done to."""
    happens: str
    costs: str
    done: str
    do: Callable[[Environment, WorkloadNames, str, str], object]
    """Is given the name of the run, the alarm or the version, empty where there is one only, and the reason."""


def _acknowledge(environment: Environment, names: WorkloadNames, alarm: str, reason: str) -> None:
    check_raised(alarm, find_alarm_states(environment, names, ()))
    acknowledge(environment, names, alarm, reason=reason)


def _switch(environment: Environment, names: WorkloadNames, _: str, reason: str, *, paused: bool) -> None:
    declared_automates(environment, names)  # nothing is switched where nothing is declared
    switch(environment, names, paused=paused, reason=reason)


ACTS: Mapping[str, Act] = {
    "rerun": Act(
        title="Rerun",
        happens="The run goes on from the step that failed, with the input and the definition that it began with.",
        costs="It costs what this step and those after it cost: a training once more, if the training failed.",
        done="The run goes on.",
        do=lambda at, names, run, reason: rerun(
            at, names, find_run(at.client("stepfunctions"), names, run), reason=reason
        ),
    ),
    "rollback": Act(
        title="Roll back",
        happens="The version that was live before becomes live again, once its endpoint has passed its smoke test.",
        costs="While SageMaker moves the endpoint, for some minutes, the machines of both versions are paid for.",
        done="The rollback has begun. Its run is on the list of the releases.",
        do=lambda environment, names, version, reason: roll_back(environment, names, reason=reason, to=version or None),
    ),
    "acknowledge": Act(
        title="Acknowledge",
        happens="Nobody is reminded of this alarm until it is over. It stays raised, and what it starts goes on.",
        costs="It costs nothing.",
        done="The alarm is acknowledged.",
        do=_acknowledge,
    ),
    "pause": Act(
        title="Pause automation",
        happens="Within ten seconds no answer acts by itself: a person decides each one, until automation is resumed.",
        costs="It costs nothing on AWS, and people's time for every answer.",
        done="No answer acts by itself.",
        do=partial(_switch, paused=True),
    ),
    "resume": Act(
        title="Resume automation",
        happens="Within ten seconds answers act by themselves again, within the bounds of the policy.",
        costs="It costs nothing.",
        done="Answers act by themselves again.",
        do=partial(_switch, paused=False),
    ),
}
