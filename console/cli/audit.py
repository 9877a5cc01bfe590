"""`millrace audit list` and `millrace audit verify`: read the audit, and check that it is whole."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Build, Json, Stage, Target, audit_events, grouped, several_workloads
from millrace.console.cli.printing import show, show_json, show_rows

if TYPE_CHECKING:
    from millrace.state.audit import Record

audit = typer.Typer(no_args_is_help=True, help="Show who decided what, and that no record was changed since.")
Event = Annotated[
    str, typer.Option(autocompletion=audit_events, help="With this event, for example model.refused or release.live.")
]
Limited = Annotated[int, typer.Option(min=0, help="Records at most, the newest; 0 for all.")]
Audited = Annotated[str, several_workloads("all", "A folder of workloads/.", envvar="MILLRACE_WORKLOAD")]
EarlierHead = Annotated[str, typer.Option("--head", help="A head that an earlier verification printed, as 17:5d0f….")]


@audit.command("list")
@grouped
def list_records(target: Target, as_json: Json, event: Event = "", limit: Limited = 20) -> None:
    """List a workload's decisions, the newest first: event, function, run or person, and the details in a sentence.

    Example: millrace audit list --event model.refused. A person is known of rollbacks and withdrawals. --json has the
    records whole, with the evidence of each decision."""
    from millrace.console.presenters.audit_records import record_rows
    from millrace.console.queries.audit import event_of, find_records

    wanted = event_of(event)
    environment, names = target.find()
    # One record more than is shown tells whether there are earlier ones.
    found = find_records(environment, names, event=wanted, limit=limit + 1 if limit else None)
    shown = found[:limit] if limit else found
    if as_json:
        show_json([_document(one) for one in shown])
        return
    nothing = f"No {f'{wanted} of' if wanted else 'decision about'} {names.workload} has been recorded."
    show_rows(record_rows(shown), as_json=False, nothing=nothing)
    if len(found) > len(shown):
        print("\nand earlier ones: --limit 0 shows all", file=sys.stderr)


def _document(record: Record) -> dict[str, Any]:
    """The record as JSON, with the names that the table has."""
    return {
        "as_of": record.as_of,
        "event": record.event,
        "actor": record.actor,
        "execution": record.execution_arn,
        "cause": record.cause,
        "details": record.details.model_dump(mode="json"),
        "sk": record.key,
    }


@audit.command()
def verify(stage: Stage, build: Build, as_json: Json, workload: Audited = "", head: EarlierHead = "") -> None:
    """Compute the audit's chain in the locked bucket again and compare it with the table, for every workload or one.

    Example: millrace audit verify --workload electricity --head 17:5d0f…. The exit status is 1 if something is wrong: a
    changed byte, a missing link, a record that is only in bucket or table. With --head also if the newest links are
    gone from both."""
    from millrace.console.environment import find_environment
    from millrace.console.queries.audit import Head, audited_workloads, verify_chain
    from millrace.errors import EnvironmentNotFoundError

    # A head belongs to the chain of one workload.
    kept = Head.parse(head) if head else None
    if kept and not workload:
        raise EnvironmentNotFoundError("--workload: expected the workload whose head it is, got none")
    environment = find_environment(stage, build)
    names = [environment.names(workload).workload] if workload else audited_workloads(environment)
    found = [verify_chain(environment, name, head=kept) for name in names]
    wrong = [(one.workload, each) for one in found for each in one.wrong]
    show(found, as_json=as_json, nothing="No decision has been recorded.")
    if wrong and not as_json:
        print()
        show_rows([{"workload": name, **asdict(each)} for name, each in wrong], as_json=False, nothing="")
    if wrong:
        name, first = wrong[0]
        more = f" ({len(wrong)} findings in all)" if len(wrong) > 1 else ""
        print(f"millrace: {name}: {first.where}: expected {first.expected}, got {first.came}{more}", file=sys.stderr)
        raise typer.Exit(1)
