"""Rule: a function that is called asynchronously keeps the events at which it failed, which Lambda would drop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, text

CALLERS = ("events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com", "logs.amazonaws.com", "ses.amazonaws.com")
"""Services that call a function asynchronously: they do not wait for its answer."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each such function with neither a dead-letter queue nor a destination for failures."""
    functions = {
        text(resource.properties.get("FunctionName", resource.logical_id)): resource
        for stack in stacks
        for resource in stack.resources("AWS::Lambda::Function")
    }
    # Called by a permission of the function or by a schedule, and kept by a destination or a dead-letter queue.
    kept = {_function(resource) for stack in stacks for resource in _destinations(stack)}
    called = {_function(one) for stack in stacks for one in _permissions(stack)}
    called |= {name for stack in stacks for name in _scheduled(stack)}
    for name in sorted(called - kept):
        function = functions.get(name)
        if function is None or not given(function.properties, "DeadLetterConfig", "TargetArn"):
            where = function.where if function else name
            yield Finding(where=where, expected="DeadLetterConfig: a service calls it asynchronously", came=None)


def _permissions(stack: Stack) -> Iterator[Resource]:
    for resource in stack.resources("AWS::Lambda::Permission"):
        if resource.properties.get("Principal") in CALLERS:
            yield resource


def _scheduled(stack: Stack) -> Iterator[str]:
    """Functions that EventBridge Scheduler calls. Its role allows that, so the functions have no permission for it."""
    for resource in stack.resources("AWS::Scheduler::Schedule"):
        arn = text(resource.properties["Target"]["Arn"])
        if ":function:" in arn:
            yield _name(arn)


def _destinations(stack: Stack) -> Iterator[Resource]:
    for resource in stack.resources("AWS::Lambda::EventInvokeConfig"):
        if given(resource.properties, "DestinationConfig", "OnFailure", "Destination"):
            yield resource


def _function(resource: Resource) -> str:
    """The name of the function that the property `FunctionName` names, by name, ARN or reference."""
    return _name(text(resource.properties["FunctionName"]))


def _name(function: str) -> str:
    # `arn:…:function:name`, `<Function.Arn>`, `<Function>` or a plain name.
    return function.rpartition(":function:")[2].strip("<>").partition(".")[0]
