"""Rule: a function with SnapStart is one that Lambda allows it for, and has a version.

Lambda takes no snapshot of an unpublished function.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Resource, Stack, given

MOST_DISK_MB = 512
LEAST_PYTHON = (3, 12)


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function that Lambda would refuse, or that has a snapshot from which nobody would start."""
    for stack in stacks:
        for function in stack.resources("AWS::Lambda::Function"):
            if given(function.properties, "SnapStart", "ApplyOn") == "PublishedVersions":
                yield from _function(function)
                yield from _versions(stack, function)


def _function(function: Resource) -> Iterator[Finding]:
    runtime = str(function.properties.get("Runtime"))
    name, _, minor = runtime.partition(".")
    if name != "python3" or int(minor) < LEAST_PYTHON[1]:
        yield Finding(
            where=function.where, expected=f"python{LEAST_PYTHON[0]}.{LEAST_PYTHON[1]} or later", came=runtime
        )
    disk_mb = given(function.properties, "EphemeralStorage", "Size") or MOST_DISK_MB
    if int(disk_mb) > MOST_DISK_MB:
        yield Finding(where=function.where, expected=f"EphemeralStorage of {MOST_DISK_MB} MB at most", came=disk_mb)
    if systems := function.properties.get("FileSystemConfigs"):
        yield Finding(where=function.where, expected="no file system", came=systems)


def _versions(stack: Stack, function: Resource) -> Iterator[Finding]:
    # Versions and aliases name their function by a reference.
    own = {"Ref": function.logical_id}
    if not [one for one in stack.resources("AWS::Lambda::Version") if one.properties["FunctionName"] == own]:
        yield Finding(where=function.where, expected="an AWS::Lambda::Version of it", came="none")
    for alias in stack.resources("AWS::Lambda::Alias"):
        kept = given(alias.properties, "ProvisionedConcurrencyConfig", "ProvisionedConcurrentExecutions")
        if alias.properties["FunctionName"] == own and kept:
            yield Finding(where=alias.where, expected="no provisioned concurrency beside SnapStart", came=kept)
