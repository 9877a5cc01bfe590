"""The machine `upkeep`: keeps the tables and the decisions small, one call after another until nothing is left.

A call ends within fifteen minutes, however much has come. Decisions of 5,000 a second, all day, are the work of some
thirty calls."""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.machines import states
from millrace.infra.machines.ingest import spark_job
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.upkeep import Upkeep

UPKEEP = Result("upkeep", Upkeep, "Expire snapshots, delete and join files, absorb lines: as much as one call can")
TIMEOUT_S = 20 * 3600
"""The machine is stopped after this time, before the next night."""
PAUSE_S = 60
"""Seconds between two calls."""


def definition(context: Context, application: str = "") -> Definition:
    """The definition. Input: `cause` and `as_of`, the time at which it was due. Both may be left out. With
    `is_incident` nothing is kept up: the audit gets a record of it.

    `application` is the id of the application of Spark; empty for a stage without one."""
    call = states.invoke(context, UPKEEP, next_state="More?", **{"started.$": states.STARTED})
    call["Retry"].append(states.asker_known())
    # Another writer may win each commit of a call. The next one does what is left.
    call["Retry"].append(states.retry("States.TaskFailed", interval_s=60, attempts=2))
    plan = UPKEEP.path("plan")
    large: State = {"Not": states.equals(plan, "")}
    return states.machine(
        f"Keep the tables and the decisions of {context.workload.name} small",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults("Upkeep", detail={}),
            "Upkeep": call,
            "More?": states.choice(
                "Did the call find more than it could do, or than all calls can?",
                [(states.is_true(UPKEEP.path("has_more")), "Pause"), *([(large, "Bulk")] if application else [])],
                otherwise="Kept up",
            ),
            **({"Bulk": spark_job(context, application, plan, next_state="Upkeep")} if application else {}),
            "Pause": states.wait("Drops are committed meanwhile", seconds=PAUSE_S, next_state="Upkeep"),
            "Kept up": states.succeed("Nothing is left that could be smaller"),
        },
    )
