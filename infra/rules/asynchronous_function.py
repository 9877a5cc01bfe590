"""Rule: a function that is called asynchronously keeps the events at which it failed, which Lambda would drop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, resources, text

CALLERS = ("events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com", "logs.amazonaws.com", "ses.amazonaws.com")
"""Services that call a function asynchronously: they do not wait for its answer."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each such function with neither a dead-letter queue nor a destination for failures."""
    functions = {
        text(resource.properties.get("FunctionName", resource.logical_id)): resource
        for resource in resources(stacks, "AWS::Lambda::Function")
    }
    # Called by a permission of the function or by a schedule, and kept by a destination or a dead-letter queue.
    kept = {
        _function(one)
        for one in resources(stacks, "AWS::Lambda::EventInvokeConfig")
        if given(one.properties, "DestinationConfig", "OnFailure", "Destination")
    }
    called = {
        _function(one)
        for one in resources(stacks, "AWS::Lambda::Permission")
        if one.properties.get("Principal") in CALLERS
    }
    scheduled = (text(one.properties["Target"]["Arn"]) for one in resources(stacks, "AWS::Scheduler::Schedule"))
    called |= {_name(arn) for arn in scheduled if ":function:" in arn}
    for name in sorted(called - kept):
        function = functions.get(name)
        if function is None or not given(function.properties, "DeadLetterConfig", "TargetArn"):
            where = function.where if function else name
            yield Finding(where=where, expected="DeadLetterConfig: a service calls it asynchronously", came=None)


def _function(resource: Resource) -> str:
    """The name of the function that the property `FunctionName` names, by name, ARN or reference."""
    return _name(text(resource.properties["FunctionName"]))


def _name(function: str) -> str:
    # `arn:…:function:name`, `<Function.Arn>`, `<Function>` or a plain name.
    return function.rpartition(":function:")[2].strip("<>").partition(".")[0]
