"""The machine `teardown`: stops everything that starts or runs, and deletes what no template manages.

After it the stacks can be deleted. The function is called until it finds nothing. So the machine may be started twice,
stopped, and redriven at any point.
"""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.machines import states
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition
from millrace.messages.teardown import TeardownStepDone

TEARDOWN = Result("teardown", TeardownStepDone, "Of all steps, do the first one that finds something to remove")
TIMEOUT_S = 6 * 3600
"""Seconds. It waits for an endpoint that is being updated, and a blue/green update takes its watch twice."""


def definition(context: Context) -> Definition:
    """The definition. Input: `confirm`, the prefix of the workload's names, such as `millrace-dev-electricity`.

    It does not touch the buckets, the tables and the audit."""
    return states.machine(
        f"Tear {context.workload.name} down: what starts, runs and costs goes, data and audit stay",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults("Confirmed?", confirm=""),
            "Confirmed?": states.choice(
                "Does the input name what is to be torn down?",
                [(states.equals("$.confirm", context.names.prefix), "Teardown")],
                otherwise="Not confirmed",
            ),
            "Not confirmed": states.fail(
                "Nothing was touched",
                error="NotConfirmed",
                cause=f'expected {{"confirm": "{context.names.prefix}"}} as input',
            ),
            "Teardown": states.invoke(context, TEARDOWN, next_state="Nothing left?"),
            "Nothing left?": states.choice(
                "Did it find nothing any more?",
                [({"Variable": TEARDOWN.path("found"), "NumericEquals": 0}, "Torn down")],
                otherwise="Wait",
            ),
            "Wait": states.wait(
                "What was told to go takes its time", seconds=context.settings.poll_s, next_state="Teardown"
            ),
            "Torn down": states.succeed("What is left is in the stacks, and what they retain"),
        },
    )
