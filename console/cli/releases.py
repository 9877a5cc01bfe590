"""The commands that release a version: `millrace approve`, `refuse`, `release`, `rollback`, `pull`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.console.cli.options import Json, Target
from millrace.console.cli.printing import show_json
from millrace.console.cli.runs import AsOf, Wait, end
from millrace.errors import RunError
from millrace.names import Platform, WorkloadNames

if TYPE_CHECKING:
    from millrace.console.environment import Environment


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


def rollback(
    target: Target,
    as_json: Json,
    reason: Annotated[str, typer.Option(help="Why, for the audit table.")],
    to: Annotated[str | None, typer.Option(help="Number of the version; without it the previous one.")] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Make the live version's endpoint anew.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when the version is live.")] = False,
) -> None:
    """Release an earlier model version, or the live one, again: smoke test, new fleet, alarms, pointers, audit.

    Example: millrace rollback --reason "worse since Tuesday" --wait. No request fails meanwhile. Asked again without
    --to it brings back the version that was replaced. With --restore the endpoint serves the live version again: it was
    deleted, or a release stopped halfway."""
    from millrace.console.actions.approve import roll_back
    from millrace.console.cli.follow import follow, require_success

    environment, names = target.find_deployed()
    started = roll_back(environment, names, reason=reason, to=to, restores=restore)
    if wait:
        # If the release fails, the error says what has become of the version that was live.
        try:
            require_success(names, follow(environment, names, started.execution, said=not as_json))
        except RunError as error:
            what = "is not restored" if restore else "serves on"
            raise RunError(f"version {started.replaced} {what}: {error}") from None
    if as_json:
        show_json(asdict(started) | {"live": wait})
    elif restore:
        print(f"The endpoint serves version {started.version} again." if wait else f"On its way:\n{started.execution}")
    elif wait:
        print(f"Version {started.version} is live again, version {started.replaced} is the previous one.")
    else:
        print(
            f"Version {started.version} is on its way back, {started.replaced} serves until then:\n{started.execution}"
        )


From = Annotated[str, typer.Option("--from", metavar="ACCOUNT/STAGE", help="The stage of which the version is.")]


def pull(
    version: Annotated[str, typer.Argument(help="The version's number there.")],
    origin: From,
    target: Target,
    json: Json,
    as_of: AsOf = "",
    wait: Wait = False,
) -> None:
    """Take over a version that another stage, mostly of another account, has released: checked, judged, released.

    Its signature is checked and its archive copied. Then it is judged on this stage's rows beside the live version, by
    the same gates and steps as a trained one.

    Example: millrace pull 3 --from 111122223333/dev --stage prod --wait"""
    from millrace.console.actions.start import start
    from millrace.console.cli.follow import when

    account, _, name = origin.partition("/")
    if not (account.isdigit() and name and version.isdigit()):
        raise RunError(f"expected a version's number and --from ACCOUNT/STAGE, got {version} and {origin}")
    moment = when(as_of, "--as-of")
    environment, names = target.find_deployed()
    there = Platform(stage=name, account=account, region=names.platform.region)
    arn = WorkloadNames(platform=there, workload=names.workload).package_arn(version)
    run = start(environment.client("stepfunctions"), names, "train", as_of=moment, more={"pulled": arn})
    end(environment, names, run, how="started", wait=wait, as_json=json)
