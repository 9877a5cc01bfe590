"""`millrace approve`, `refuse` and `release`: a person decides about a version that has passed its gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millrace.console.cli.options import Json, Target
from millrace.console.cli.printing import show_json
from millrace.console.cli.runs import Wait, end

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.names import WorkloadNames

Version = Annotated[str, typer.Argument(help="The number of the version, as `millrace versions` lists it.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit table.")]


def approve(
    target: Target,
    json: Json,
    version: Version,
    reason: Reason,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when the version is live.")] = False,
) -> None:
    """Let a version that waits for a person be released: preflight, smoke test, its phases, pointers, audit.

    You are the identity of your credentials, and must be another one than who asked for the training.

    Example: millrace approve 3 --reason "as good on our own wards" --wait"""
    from millrace.console.actions import approve as action

    environment, names = target.find_deployed()
    known = action.releases(environment, names)
    package = action.approve(environment, names, version, reason=reason)
    if wait:
        _follow(environment, names, package.arn, known)
    if json:
        show_json({"version": package.version, "approved": True, "live": wait})
    else:
        print(f"Version {version} is live." if wait else f"Version {version} is approved; its release starts.")


def refuse(target: Target, json: Json, version: Version, reason: Reason) -> None:
    """Refuse a version that waits for a person or is on a phase of its release: the live version stays.

    A phase ends at its next look, within the hour.

    Example: millrace refuse 3 --reason "errs on the new wards" """
    from millrace.console.actions import approve as action

    environment, names = target.find_deployed()
    package = action.refuse(environment, names, version, reason=reason)
    if json:
        show_json({"version": package.version, "approved": False})
    else:
        print(f"Version {version} is refused; the live version stays.")


def release(target: Target, json: Json, version: Version, reason: Reason, wait: Wait = False) -> None:
    """Release a version again that was refused, or whose release was stopped.

    It goes through the declared phases. Where a person has to approve versions, one that was refused waits again.

    Example: millrace release 3 --reason "its labels were swapped, not it" """
    from millrace.console.actions import approve as action

    environment, names = target.find_deployed()
    run = action.release(environment, names, version, reason=reason)
    end(environment, names, run, how="started", wait=wait, as_json=json)


def _follow(environment: Environment, names: WorkloadNames, package_arn: str, known: set[str]) -> None:
    """Wait for the release of the version, none of the `known` runs. Raises RunError if it does not make it live."""
    from millrace.console.actions.approve import find_release
    from millrace.console.cli.follow import follow_run, require_success

    found = follow_run(environment, names, lambda: find_release(environment, names, package_arn, known))
    require_success(names, found)
