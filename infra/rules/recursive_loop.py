"""Rule: a function that sends to the queue which calls it declares that. Else Lambda stops it after 16 calls.

Lambda counts the calls that one message leads to. After the 16th call it delivers no message of such a chain, and SQS
gives the message to the dead letters when its receives are used up. A message that is put back to wait is such a chain.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Resource, Stack, listed, text
from millrace.infra.rules.policies import documents

SEND = "sqs:SendMessage"


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function that Lambda would stop, and for each that declares a loop without being in one."""
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
        # The function is given by name, ARN or reference, the queue by reference or ARN: both are compared by name.
        source = text(mapping.properties.get("EventSourceArn"))
        name = text(mapping.properties["FunctionName"]).rpartition(":function:")[2].strip("<>").partition(".")[0]
        queue = source if source not in queues else text(queues[source].properties["QueueName"])
        for function in stack.resources("AWS::Lambda::Function"):
            if _name(function) == name and any(_queue(one) == _queue(queue) for one in _sent_to(stack, function)):
                yield name


def _sent_to(stack: Stack, function: Resource) -> Iterator[str]:
    role = text(function.properties.get("Role"))
    for one in stack.resources("AWS::IAM::Role"):
        if role == f"<{one.logical_id}.Arn>":
            statements = (statement for document in documents(one) for statement in listed(document["Statement"]))
            for statement in statements:
                if statement["Effect"] == "Allow" and SEND in listed(statement["Action"]):
                    yield from map(text, listed(statement["Resource"]))


def _name(function: Resource) -> str:
    return text(function.properties.get("FunctionName", function.logical_id))


def _queue(arn: str) -> str:
    return arn.rpartition(":")[2]
