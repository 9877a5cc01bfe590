"""The states of which every machine is made, in Amazon States Language with JSONPath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.errors import AskerUnknownError, MillraceError
from millrace.infra.context import Context
from millrace.infra.iam import bus, queues
from millrace.infra.iam.resource import Statement
from millrace.infra.machines.paths import Result
from millrace.infra.rules.assembly import every_state
from millrace.messages.events import SOURCE, BusEvent
from millrace.release.askers import RECORDED

State = dict[str, Any]
Definition = dict[str, Any]

TRANSIENT = ("Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
             "Lambda.TooManyRequestsException", "Lambda.ClientExecutionTimeoutException",
             "Lambda.Unknown", "Runtime.ExitError")  # fmt: skip
"""Failures of the service, not of the function. The last two are a worker that was killed or ran out of memory."""
NAME = (
    "States.Format('{}-{}-{}', States.Hash($$.Execution.Name, 'SHA-1'), $$.State.RetryCount, $$.Execution.RedriveCount)"
)
"""The name of a job or an execution that a state starts. A retry or a redrive starts one of another name.

The name of a job is unique in an account until the job is deleted. SHA-1 leaves room within its 63 characters. Code
that looks for a job computes `millrace.names.hash_of_run`."""

STARTED = "$$.Execution.StartTime"
"""The path of the moment at which the execution started, by the machine's clock."""
NOT_PUT = "$.not_put"
"""The path of the error of an event that the bus did not take."""


def name_of(suffix: str) -> str:
    """NAME with a suffix, for a job of an execution that has another job of the same kind."""
    return NAME.replace("'{}-{}-{}'", f"'{{}}-{{}}-{{}}-{suffix}'")


def integration(action: str) -> str:
    """The ARN of an integration of Step Functions, such as `lambda:invoke`.

    It is an ARN of the usual partition. `in_partition` changes it for China or GovCloud."""
    return f"arn:aws:states:::{action}"


def in_partition(definition: Definition, partition: str) -> Definition:
    """The definition with the ARNs of its tasks, at any depth, changed to this partition of AWS.

    Step Functions refuses to make a machine with a task of another partition."""
    moved: Definition = _moved(definition, integration(""), f"arn:{partition}:states:::")
    return moved


def _moved(value: Any, home: str, there: str) -> Any:
    if isinstance(value, str):
        return there + value.removeprefix(home) if value.startswith(home) else value
    if isinstance(value, Mapping):
        return {key: _moved(inner, home, there) for key, inner in value.items()}
    return [_moved(one, home, there) for one in value] if isinstance(value, list | tuple) else value


def machine(comment: str, *, start: str, states: Mapping[str, State], timeout_s: int) -> Definition:
    """A definition. Raises ValueError if a state has no Comment or holds a null, or if a task is never tried again.

    The CDK leaves nulls out of a definition. A task without its `ResultPath: null` would replace the whole state of the
    execution by its answer. No SDK of ours tries a throttled call of an integration again."""
    mute = [name for name, state in states.items() if not state.get("Comment")]
    if mute:
        raise ValueError(f"machine {comment!r}: expected a Comment in every state, got none in {mute}")
    if empty := [name for name, state in states.items() if _holds_null(state)]:
        raise ValueError(f"machine {comment!r}: expected a value everywhere, got null in {empty}")
    whole = {"Comment": comment, "StartAt": start, "TimeoutSeconds": timeout_s, "States": dict(states)}
    if once := [name for name, state in every_state(whole) if state["Type"] == "Task" and not state.get("Retry")]:
        raise ValueError(f"machine {comment!r}: expected Retry in every task, got none in {once}")
    return whole


def _holds_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_null(one) for one in value.values())
    return any(_holds_null(one) for one in value) if isinstance(value, list | tuple) else value is None


def retry(*errors: str, interval_s: int = 2, attempts: int = 3, rate: float = 2.0) -> State:
    """A retrier of these errors. The jitter spreads the attempts of executions that failed at the same time."""
    return {
        "ErrorEquals": list(errors),
        "IntervalSeconds": interval_s,
        "MaxAttempts": attempts,
        "BackoffRate": rate,
        "JitterStrategy": "FULL",
    }


def look_again(error: type[MillraceError], *, interval_s: int, attempts: int) -> State:
    """A retrier that calls a function again at a fixed interval while it raises `error`.

    It waits for something that ends by itself, and adds three events to the history for each look. Each look counts as
    an error of the function, so there may be no alarm on the function's errors."""
    return {
        "ErrorEquals": [error.__name__],
        "IntervalSeconds": interval_s,
        "MaxAttempts": attempts,
        "BackoffRate": 1,
    }


def asker_known() -> State:
    """A retrier until CloudTrail says who started the execution. The function gives up before the last attempt."""
    return look_again(AskerUnknownError, interval_s=60, attempts=int(RECORDED.total_seconds()) // 60 + 2)


def to(next_state: str | None) -> State:
    """The transition to the next state; None ends the machine or the branch."""
    return {"End": True} if next_state is None else {"Next": next_state}


def defaults(next_state: str, **values: Any) -> dict[str, State]:
    """The states `Defaults` and `Input`: they fill in what the execution's input leaves out, so `{}` is enough.

    That is who asks, the time that counts as now, and the `values`. A key of the input replaces the whole default of
    that key (level one only). These are two states, since in a literal inside an intrinsic function every brace would
    have to be escaped."""
    return {
        "Defaults": {
            "Type": "Pass",
            "Comment": "What holds when the input says nothing",
            "Parameters": {
                "defaults": {"cause": "console", "as_of.$": STARTED, **values},
                "input.$": "$$.Execution.Input",
            },
            "Next": "Input",
        },
        "Input": {
            "Type": "Pass",
            "Comment": "The input over the defaults, so that {} from the console is enough",
            "Parameters": {"merged.$": "States.JsonMerge($.defaults, $.input, false)"},
            "OutputPath": "$.merged",
            "Next": next_state,
        },
    }


def invoke(context: Context, result: Result, *, next_state: str, function: str = "", **extra: str) -> State:
    """Call a function with `StepInput`: the whole state, the execution's name and ARN. `extra` adds fields.

    `function` is its name if the result has another one. The answer is then at `$.<result>.answer`. Errors of the
    function itself are not retried, unless the machine adds a retrier: a redrive comes back to this state."""
    return {
        "Type": "Task",
        "Comment": result.comment,
        "Resource": integration("lambda:invoke"),
        "Parameters": {
            "FunctionName": context.names.function_arn(function or result.name),
            "Payload": {"run.$": "$$.Execution.Name", "execution.$": "$$.Execution.Id", "state.$": "$", **extra},
        },
        # Beside the payload the integration returns headers and metadata, which would fill the state.
        "ResultSelector": {"answer.$": "$.Payload"},
        "ResultPath": f"$.{result.name}",
        "Retry": [retry(*TRANSIENT)],
        "Next": next_state,
    }


def invoked(definition: Definition) -> list[str]:
    """The ARNs of the functions that the machine calls, each once."""
    called = [state for _, state in every_state(definition) if state.get("Resource") == integration("lambda:invoke")]
    return list(dict.fromkeys(state["Parameters"]["FunctionName"] for state in called))


def put_event(
    context: Context,
    name: str,
    *,
    event: type[BusEvent],
    detail: Mapping[str, Any],
    comment: str,
    next_state: str | None,
) -> dict[str, State]:
    """Two states: `name` puts one event of ours on the bus, and `Keep <its type>` keeps an event that the bus refuses.

        <name> ──> next_state
          └─(the bus fails)──> Keep <type> ──> next_state

    A kept event goes to the stage's dead letters, which have an alarm. What the event reports has happened all the
    same, so the execution keeps its outcome. If the queue does not take the event either, the execution fails.

    `detail` may have `.$` keys. The answer is at `$.event`, and the error of a kept event is at `$.not_put`. Raises
    ValueError if the keys of the detail are not the fields of the event's class."""
    whole = {"workload": context.workload.name, "run.$": "$$.Execution.Id", "cause.$": "$.cause", **detail}
    # A misspelled field would only be noticed when a machine reads the event, so it is refused at synth.
    expected, came = set(event.model_fields), {key.removesuffix(".$") for key in whole}
    if expected != came:
        raise ValueError(f"{event.detail_type}: expected the fields {sorted(expected)}, got {sorted(came)}")
    entry = {
        "EventBusName": context.platform.bus_arn,
        "Source": SOURCE,
        "DetailType": event.detail_type,
        "Detail": whole,
    }
    kept = f"Keep {event.detail_type}"
    put = {
        "Type": "Task",
        "Comment": comment,
        "Resource": integration("events:putEvents"),
        "Parameters": {"Entries": [entry]},
        "ResultPath": "$.event",
        # Retriers come before catchers: only an event that the bus refuses again and again is kept.
        "Retry": [retry("States.TaskFailed")],
        "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": NOT_PUT, "Next": kept}],
        **to(next_state),
    }
    return {name: put, kept: _dead_letter(context, event, whole, next_state)}


def put_event_statements(context: Context, *events: type[BusEvent]) -> list[Statement]:
    """The rights that the states of `put_event` need for these events."""
    return [bus.put_events(context.names, *events), queues.send(context.dead_events_arn)]


def _dead_letter(context: Context, event: type[BusEvent], detail: State, next_state: str | None) -> State:
    """Send the event to the dead letters, in the form of the other letters there, with the name of the error."""
    return {
        "Type": "Task",
        "Comment": "The bus did not take the event: it waits with the dead letters, and their alarm says so",
        "Resource": integration("sqs:sendMessage"),
        "Parameters": {
            "QueueUrl": context.dead_events_url,
            "MessageBody": {"source": SOURCE, "detail-type": event.detail_type, "detail": detail},
            "MessageAttributes": {"ERROR_CODE": {"DataType": "String", "StringValue.$": f"{NOT_PUT}.Error"}},
        },
        "ResultPath": "$.kept",
        "Retry": [retry("States.TaskFailed")],
        **to(next_state),
    }


def put_events(
    context: Context, name: str, *, event: type[BusEvent], items: str, comment: str, next_state: str
) -> dict[str, State]:
    """The state `name`, a Map that puts one event of ours for each entry of the list at `items`.

    An entry has the fields of the event's class. The entries are put one after the other, so an execution for many
    drops causes no burst on the bus."""
    detail = {f"{field}.$": f"$.item.{field}" for field in sorted(set(event.model_fields) - set(BusEvent.model_fields))}
    put = f"Put {event.detail_type}"
    steps = put_event(context, put, event=event, detail=detail, comment="Tell of one", next_state=None)
    # An iteration returns only the answer of its last call. By default it would return its whole state.
    each = {
        "Type": "Map",
        "Comment": comment,
        "ItemsPath": items,
        "ItemSelector": {"cause.$": "$.cause", "item.$": "$$.Map.Item.Value"},
        "MaxConcurrency": 1,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": put,
            "States": {step: state | {"OutputPath": state["ResultPath"]} for step, state in steps.items()},
        },
        "ResultPath": "$.events",
        "Next": next_state,
    }
    return {name: each}


def fields(result: Result, *names: str) -> dict[str, str]:
    """Keys of a detail that copy fields of a step's answer: `{"version.$": "$.registration.answer.version"}`."""
    return {f"{name}.$": result.path(name) for name in names}


def choice(comment: str, branches: Sequence[tuple[State, str]], *, otherwise: str) -> State:
    """A Choice. The first branch with a true condition is taken, else `otherwise`."""
    return {
        "Type": "Choice",
        "Comment": comment,
        "Choices": [{**condition, "Next": target} for condition, target in branches],
        "Default": otherwise,
    }


def whether(question: str, path: str, *, yes: str, no: str) -> State:
    """A Choice between two states by the boolean at the path."""
    return choice(question, [(is_true(path), yes)], otherwise=no)


def is_true(path: str) -> State:
    return {"Variable": path, "BooleanEquals": True}


def equals(path: str, value: str) -> State:
    return {"Variable": path, "StringEquals": value}


def put(comment: str, path: str, *, next_state: str, **given: Any) -> State:
    """A Pass that puts something at the path: a `Result`, `Parameters`, or what lies at an `InputPath`."""
    return {"Type": "Pass", "Comment": comment, **given, "ResultPath": path, "Next": next_state}


def succeed(comment: str) -> State:
    return {"Type": "Succeed", "Comment": comment}


def fail(comment: str, *, error: str, cause: str) -> State:
    return {"Type": "Fail", "Comment": comment, "Error": error, "Cause": cause}


def wait(comment: str, *, seconds: int, next_state: str) -> State:
    return {"Type": "Wait", "Comment": comment, "Seconds": seconds, "Next": next_state}
