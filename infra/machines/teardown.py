"""The machine `teardown`: stops everything that starts or runs, and deletes what no template manages.

After it the stacks can be deleted. Each step is repeated until it finds nothing. So the machine may be started twice,
stopped, and redriven at any point.
"""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.machines import states
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.teardown import TeardownStep, TeardownStepDone

STEPS: dict[TeardownStep, str] = {
    "starters": "Rules, schedules and the queue of drops are switched off: nothing starts anew",
    "running": "Executions, tunings and jobs are stopped",
    "endpoints": "Endpoints and their scaling go: they cost by the hour",
    "versions": "Delete configurations, models, packages and leftover alarms; clear the live version",
    "tables": "The Iceberg tables leave the catalogue; their files stay in the lake",
}
TIMEOUT_S = 6 * 3600
"""Seconds. It waits for an endpoint that is being updated, and a blue/green update takes its watch twice."""


def definition(context: Context) -> Definition:
    """The definition. Input: `confirm`, the prefix of the workload's names, such as `millrace-dev-electricity`.

    It does not touch the buckets, the tables and the audit."""
    # The state that follows each step: the first state of the next step, and `Torn down` after the last.
    following = [*(step.capitalize() for step in STEPS), "Torn down"][1:]
    found = {
        name: state
        for step, next_state in zip(STEPS, following, strict=True)
        for name, state in _step(context, step, next_state).items()
    }
    return states.machine(
        f"Tear {context.workload.name} down: what starts, runs and costs goes, data and audit stay",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults("Confirmed?", confirm=""),
            "Confirmed?": states.choice(
                "Does the input name what is to be torn down?",
                [(states.equals("$.confirm", context.names.prefix), "Starters")],
                otherwise="Not confirmed",
            ),
            "Not confirmed": states.fail(
                "Nothing was touched",
                error="NotConfirmed",
                cause=f'expected {{"confirm": "{context.names.prefix}"}} as input',
            ),
            **found,
            "Torn down": states.succeed("What is left is in the stacks, and what they retain"),
        },
    )


def _step(context: Context, step: TeardownStep, next_state: str) -> dict[str, State]:
    """Three states: do the step, look whether it found anything, and if so wait and do it again."""
    name, result = step.capitalize(), Result(step, TeardownStepDone, STEPS[step])
    nothing = {"Variable": result.path("found"), "NumericEquals": 0}
    return {
        name: states.invoke(context, result, function="teardown", next_state=f"{name} gone?", step=step),
        f"{name} gone?": states.choice(
            "Did it find nothing any more?", [(nothing, next_state)], otherwise=f"{name} wait"
        ),
        f"{name} wait": states.wait(
            "What was told to go takes its time", seconds=context.settings.poll_s, next_state=name
        ),
    }
