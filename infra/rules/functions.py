"""Rules on functions: what fails is kept, a loop by a queue is declared. AWS breaks each of these silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, resources, text
from millrace.infra.rules.policies import documents

CALLERS = ("events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com", "logs.amazonaws.com", "ses.amazonaws.com")
"""Services that call a function asynchronously: they do not wait for its answer."""
SEND = "sqs:SendMessage"


def check_asynchronous(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function that is called asynchronously and drops the events at which it fails.

    It has neither a dead-letter queue nor a destination for failures."""
    functions = {_name(resource): resource for resource in resources(stacks, "AWS::Lambda::Function")}
    # Called by a permission of the function or by a schedule, and kept by a destination or a dead-letter queue.
    kept = {
        _called(one)
        for one in resources(stacks, "AWS::Lambda::EventInvokeConfig")
        if given(one.properties, "DestinationConfig", "OnFailure", "Destination")
    }
    called = {
        _called(one)
        for one in resources(stacks, "AWS::Lambda::Permission")
        if one.properties.get("Principal") in CALLERS
    }
    scheduled = (text(one.properties["Target"]["Arn"]) for one in resources(stacks, "AWS::Scheduler::Schedule"))
    called |= {_plain(arn) for arn in scheduled if ":function:" in arn}
    for name in sorted(called - kept):
        function = functions.get(name)
        if function is None or not given(function.properties, "DeadLetterConfig", "TargetArn"):
            where = function.where if function else name
            yield Finding(where=where, expected="DeadLetterConfig: a service calls it asynchronously", came=None)


def check_loops(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function that Lambda would stop, and for each that declares a loop without being in one.

    A function that sends to the queue which calls it declares that. Lambda counts the calls that one message leads to.
    After the 16th call it delivers no message of such a chain, and SQS gives the message to the dead letters when its
    receives are used up. A message that is put back to wait is such a chain.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"""
    for stack in stacks:
        looped = set(_looped(stack))
        for function in stack.resources("AWS::Lambda::Function"):
            is_looped, came = _name(function) in looped, function.properties.get("RecursiveLoop")
            if is_looped and came != "Allow":
                expected = "RecursiveLoop Allow: its role sends to the queue that calls it"
                yield Finding(where=function.where, expected=expected, came=came)
            if came == "Allow" and not is_looped:
                yield Finding(where=function.where, expected="no RecursiveLoop: it is in no loop", came=came)


def _looped(stack: Stack) -> Iterator[str]:
    """The names of functions that have a role which may send to a queue that calls them."""
    queues = {f"<{one.logical_id}.Arn>": one for one in stack.resources("AWS::SQS::Queue")}
    for mapping in stack.resources("AWS::Lambda::EventSourceMapping"):
        # The queue is given by reference or ARN, and compared by name as the function is.
        source = text(mapping.properties.get("EventSourceArn"))
        queue = source if source not in queues else text(queues[source].properties["QueueName"])
        for function in stack.resources("AWS::Lambda::Function"):
            if _name(function) == _called(mapping) and _queue(queue) in map(_queue, _sent_to(stack, function)):
                yield _name(function)


def _sent_to(stack: Stack, function: Resource) -> Iterator[str]:
    role = text(function.properties.get("Role"))
    for one in stack.resources("AWS::IAM::Role"):
        if role == f"<{one.logical_id}.Arn>":
            statements = (statement for document in documents(one) for statement in listed(document["Statement"]))
            for statement in statements:
                if statement["Effect"] == "Allow" and SEND in listed(statement["Action"]):
                    yield from map(text, listed(statement["Resource"]))


def _queue(arn: str) -> str:
    return arn.rpartition(":")[2]


def _name(function: Resource) -> str:
    return text(function.properties.get("FunctionName", function.logical_id))


def _called(resource: Resource) -> str:
    """The name of the function that the property `FunctionName` names, by name, ARN or reference."""
    return _plain(text(resource.properties["FunctionName"]))


def _plain(function: str) -> str:
    # `arn:…:function:name`, `<Function.Arn>`, `<Function>` or a plain name.
    return function.rpartition(":function:")[2].strip("<>").partition(".")[0]
