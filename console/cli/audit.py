"""`millrace audit verify`: check that the audit is whole."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from console.cli.completion import workload_names
from console.cli.options import Build, Json, Stage
from console.cli.printing import show_json, show_rows

audit = typer.Typer(no_args_is_help=True, help="Show that the audit is whole: `millrace audit verify`.")
Audited = Annotated[
    str,
    typer.Option(
        envvar="MILLRACE_WORKLOAD", show_default="all", autocompletion=workload_names, help="A folder of workloads/."
    ),
]
EarlierHead = Annotated[str, typer.Option("--head", help="A head that an earlier verification printed, as 17:5d0f….")]


@audit.callback()
def main() -> None:
    """Keeps `verify` a command of its own: typer runs the only command of a group in place of the group."""


@audit.command()
def verify(stage: Stage, build: Build, as_json: Json, workload: Audited = "", head: EarlierHead = "") -> None:
    """Compute the audit's chain in the locked bucket again and compare it with the table, for every workload or one.

    Example: millrace audit verify --workload electricity --head 17:5d0f…. The exit status is 1 if something is wrong: a
    changed byte, a missing link, a record that is only in bucket or table. With --head also if the newest links are
    gone from both."""
    from console.environment import find_environment
    from console.queries.audit_chain import Head, audited_workloads, verify_chain
    from millrace.errors import EnvironmentNotFoundError

    # A head belongs to the chain of one workload.
    kept = Head.parse(head) if head else None
    if kept and not workload:
        raise EnvironmentNotFoundError("--workload: expected the workload whose head it is, got none")
    environment = find_environment(stage, build)
    names = [environment.names(workload).workload] if workload else audited_workloads(environment)
    found = [verify_chain(environment, name, head=kept) for name in names]
    wrong = [(one.workload, each) for one in found for each in one.wrong]
    if as_json:
        show_json([asdict(one) for one in found])
    else:
        rows = [
            {"workload": one.workload, "records": one.records, "links": one.links, "head": one.head} for one in found
        ]
        show_rows(rows, as_json=False, nothing="No decision has been recorded.")
        if wrong:
            print()
            show_rows([{"workload": name, **asdict(each)} for name, each in wrong], as_json=False, nothing="")
    if wrong:
        name, first = wrong[0]
        more = f" ({len(wrong)} findings in all)" if len(wrong) > 1 else ""
        print(f"millrace: {name}: {first.where}: expected {first.expected}, got {first.came}{more}", file=sys.stderr)
        raise typer.Exit(1)
