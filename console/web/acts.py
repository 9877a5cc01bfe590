"""What a person does from a page, beside deciding on a version: what happens and what it costs are said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millrace.console.actions.approve import acknowledge, roll_back, switch
from millrace.console.actions.start import redrive
from millrace.console.environment import Environment
from millrace.console.queries.alarms import find_alarm_states
from millrace.console.queries.live import find_automates
from millrace.console.queries.runs import find_run
from millrace.console.queries.versions import state_of
from millrace.errors import RunError
from millrace.names import WorkloadNames
from millrace.state.pointers import ReleasePointers


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a person can do to a workload."""

    title: str
    """What is done, before the name of what it is done to."""
    happens: str
    costs: str
    done: str
    do: Callable[[Environment, WorkloadNames, str, str], None]
    """Is given the name of the run, the alarm or the version, empty where there is one only, and the reason."""


def _rerun(environment: Environment, names: WorkloadNames, run: str, _: str) -> None:
    states = environment.client("stepfunctions")
    redrive(states, find_run(states, names, run))


def _roll_back(environment: Environment, names: WorkloadNames, version: str, reason: str) -> None:
    roll_back(environment, names, reason=reason, to=version or None)


def _acknowledge(environment: Environment, names: WorkloadNames, alarm: str, reason: str) -> None:
    states = find_alarm_states(environment, names, ())
    raised = [one.name for one in states if one.state == "ALARM" and not one.is_of_stage]
    if alarm not in raised:
        raise RunError(f"expected a raised alarm ({', '.join(raised) or 'none is raised'}), got {alarm}")
    acknowledge(environment, names, alarm, reason=reason)


def _pause(environment: Environment, names: WorkloadNames, _: str, reason: str) -> None:
    _switch(environment, names, paused=True, reason=reason)


def _resume(environment: Environment, names: WorkloadNames, _: str, reason: str) -> None:
    _switch(environment, names, paused=False, reason=reason)


def _switch(environment: Environment, names: WorkloadNames, *, paused: bool, reason: str) -> None:
    champion = ReleasePointers(state_of(environment, names)).champion()
    if find_automates(environment, names, champion) is None:
        raise RunError(f"expected a workload with a policy in its workload.yaml, {names.workload} has none")
    switch(environment, names, paused=paused, reason=reason)


ACTS: Mapping[str, Act] = {
    "rerun": Act(
        title="Rerun",
        happens="The run goes on from the step that failed, with the input and the definition that it began with.",
        costs="It costs what this step and those after it cost: a training once more, if the training failed.",
        done="The run goes on.",
        do=_rerun,
    ),
    "rollback": Act(
        title="Roll back",
        happens="The version that was live before becomes live again, once its endpoint has passed its smoke test.",
        costs="While SageMaker moves the endpoint, for some minutes, the machines of both versions are paid for.",
        done="The rollback has begun. Its run is on the list of the releases.",
        do=_roll_back,
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
        do=_pause,
    ),
    "resume": Act(
        title="Resume automation",
        happens="Within ten seconds answers act by themselves again, within the bounds of the policy.",
        costs="It costs nothing.",
        done="Answers act by themselves again.",
        do=_resume,
    ),
}
