"""The machine `retrain`: the guard weighs the evidence, then comes a training or a recorded refusal."""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.iam import step_functions
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import states
from millrace.infra.machines.calls import start_execution
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.events import RetrainAccepted, RetrainDecision, RetrainRefused
from millrace.messages.retrain import RetrainingDecided
from millrace.workload.training_cost import longest_hours

GUARD = Result("guard", RetrainingDecided, "Weigh lease, cool-down, runs in the month, budget and new labels")


def definition(context: Context) -> Definition:
    """The definition. Input: `cause`, `as_of`, `detail` of an alarm, a schedule or a request; `{}` is a command."""
    return states.machine(
        f"Retrain {context.workload.name} when the guard finds it worth its cost",
        start="Defaults",
        timeout_s=int((longest_hours(context.workload) + 1) * 3600),
        states={
            **states.defaults("Guard", detail={}),
            "Guard": states.invoke(context, GUARD, next_state="Accepted?"),
            "Accepted?": states.whether("May it start?", GUARD.path("accepted"), yes="Accepted", no="Refused"),
            **_decision(context, "Accepted", RetrainAccepted, next_state="Train"),
            **_decision(context, "Refused", RetrainRefused, next_state="Not retrained"),
            "Train": _train(context),
            "Retrained": states.succeed("The training has ended; its gates have decided about the model"),
            "Not retrained": states.succeed("Refused, with the earliest next time"),
        },
    )


def _decision(context: Context, name: str, event: type[RetrainDecision], *, next_state: str) -> dict[str, State]:
    return states.put_event(
        context,
        name,
        event=event,
        detail=states.fields(GUARD, "reason", "trigger", "sentence", "earliest_next", "evidence"),
        comment="Tell what the guard decided and on which evidence",
        next_state=next_state,
    )


def _train(context: Context) -> State:
    return start_execution(
        context.names.machine_arn("train"),
        "Train and wait for it; the lease is held as long",
        {
            "cause.$": "$.cause",
            "as_of.$": "$.as_of",
            "reason.$": GUARD.path("trigger"),
            "detail.$": "$.detail",
        },
        result="train",
        next_state="Retrained",
        waits=True,
    )


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions."""
    names = context.names
    named = "The execution that is waited for gets its name when it is started"
    return [
        *states.put_event_statements(context, RetrainAccepted, RetrainRefused),
        step_functions.machines(names, "train").may("StartExecution"),
        step_functions.executions(names, "train", because=named).may("DescribeExecution", "StopExecution"),
        step_functions.wait_for(names, "StepFunctionsExecution"),
    ]
