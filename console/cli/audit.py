"""`millrace audit` and `millrace incident`: read the audit, check that it is whole, and put an incident into it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import (
    Build,
    Json,
    Once,
    Reason,
    Stage,
    Target,
    audit_events,
    grouped,
    several_workloads,
    text,
    workload_names,
)
from millrace.console.cli.printing import show, show_json, show_rows
from millrace.console.cli.runs import Wait, end
from millrace.console.words import count

if TYPE_CHECKING:
    from millrace.console.queries.query import Answer
    from millrace.state.audit import Record


audit = typer.Typer(no_args_is_help=True, help="Show who decided what, and that no record was changed since.")
Event = Annotated[
    str, typer.Option(autocompletion=audit_events, help="With this event, for example model.refused or release.live.")
]
Limited = Annotated[int, typer.Option(min=0, help="Records at most, the newest; 0 for all.")]
Audited = Annotated[str, several_workloads("all", "A folder of workloads/.", envvar="MILLRACE_WORKLOAD")]
EarlierHead = Annotated[str, typer.Option("--head", help="A head that an earlier verification printed, as 17:5d0f….")]


@audit.command("list", cls=Once)
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


@audit.command(cls=Once)
def verify(stage: Stage, build: Build, as_json: Json, workload: Audited = "", head: EarlierHead = "") -> None:
    """Compute the audit's chain in the locked bucket again and compare it with the table, for every workload or one.

    Example: millrace audit verify --workload electricity --head 17:5d0f…. The exit status is 1 if something is wrong: a
    changed byte, a missing link, a record that is only in bucket or table. With --head also if the newest links are
    gone from both."""
    from millrace.console.environment import find_environment
    from millrace.console.queries.audit import audited_workloads, verify_chain
    from millrace.errors import EnvironmentNotFoundError

    # A head belongs to the chain of one workload.
    if head and not workload:
        raise EnvironmentNotFoundError("--workload: expected the workload whose head it is, got none")
    environment = find_environment(stage, build)
    names = [environment.names(workload).workload] if workload else audited_workloads(environment)
    found = [verify_chain(environment, name, head=head) for name in names]
    show(found, as_json=as_json, nothing="No decision has been recorded.")
    for one in found:
        for wrong in one.wrong:
            said = f"{one.workload}: {wrong.where}: expected {wrong.expected}, got {wrong.came}"
            print(f"millrace: {said}", file=sys.stderr)
    if any(one.wrong for one in found):
        raise typer.Exit(1)


def access(
    stage: Stage,
    workload: Annotated[str, text("Only objects of this one.", shown="all", autocompletion=workload_names)],
    build: Build,
    as_json: Json,
    person: Annotated[str, typer.Option(help="Only by who has this in the name.")] = "",
    file: Annotated[str, typer.Option(help="Only of objects with this in s3://bucket/key.")] = "",
    since: Annotated[str, typer.Option(show_default="a day ago", help="As 1997-05-01T06:00:00Z.")] = "",
    limit: Limited = 20,
) -> None:
    """List who read which object of the stage, the newest first: table rows, decisions, images, dropped files, models.

    Example: millrace access --person ann --file electricity/decisions. A read is told some five minutes later, by
    CloudTrail, where the stage's option access_audit is on."""
    from millrace.console.cli.follow import when
    from millrace.console.environment import find_environment
    from millrace.console.queries.access import find_reads

    begin, environment = when(since, "--since"), find_environment(stage, build, workload)
    found = find_reads(environment, since=begin, workload=workload, person=person, file=file)
    show(found[: limit or None], as_json=as_json, nothing="No such read has been recorded since then.")


incident = typer.Typer(no_args_is_help=True, help="Say what went wrong, and that it is over.")


@incident.command("list", cls=Once)
@grouped
def list_incidents(target: Target, as_json: Json) -> None:
    """List who opened and closed an incident, when, why and of which version, the newest first.

    Example: millrace incident list"""
    from millrace.console.presenters.audit_records import record_rows
    from millrace.console.queries.audit import find_records

    found = [one for one in find_records(*target.find()) if one.event.startswith("incident.")]
    show_rows([*map(_document, found)] if as_json else record_rows(found), as_json=as_json, nothing="No incident.")


@incident.command("open", cls=Once)
@grouped
def open_(
    target: Target,
    as_json: Json,
    reason: Reason,
    serious: Annotated[bool, typer.Option("--serious", help="It harmed somebody, or might have.")] = False,
    wait: Wait = False,
) -> None:
    """Open an incident of the live version, or of the workload without one.

    The run's name is its id. The audit has it once CloudTrail says that it was you, mostly within five minutes.

    Example: millrace incident open --reason "refuses all pensioners" --serious"""
    _record(target, {"reason": reason, "is_serious": serious}, wait=wait, as_json=as_json)


@incident.command(cls=Once)
@grouped
def close(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The incident's id, or its beginning.")],
    target: Target,
    as_json: Json,
    reason: Reason,
    wait: Wait = False,
) -> None:
    """Close an open incident.

    Example: millrace incident close 7c1b2f0e --reason "rolled back, all were told" """
    _record(target, {"reason": reason, "closes": id_}, wait=wait, as_json=as_json)


def _record(target: Target, asked: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Start the run that records it. What the run would refuse is refused at once."""
    from millrace.console.actions.approve import record_incident

    environment, names = target.find_deployed()
    end(environment, names, record_incident(environment, names, **asked), how="records it", wait=wait, as_json=as_json)


Sql = Annotated[
    str, typer.Argument(default_factory=lambda: "", show_default="the tables there are", help="One statement.")
]

Listed = Annotated[str, text("Whose tables are listed; SQL names its own.", shown="all", autocompletion=workload_names)]


def query(
    sql: Sql,
    stage: Stage,
    workload: Listed,
    build: Build,
    as_json: Json,
    output: Annotated[Path | None, typer.Option(help="Write all rows to this .parquet, .csv or .jsonl file.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Rows shown at most; 0 for all.")] = 50,
) -> None:
    """Run SQL over the stage's tables by Athena; without SQL, list the tables and their columns.

    Example: millrace query "SELECT reason, count(*) AS refused FROM electricity_quarantine GROUP BY reason". The last
    line says how many rows came, how many bytes Athena read and what that costs. --workload narrows the list."""
    from millrace.console.cli.printing import check_ending, export
    from millrace.console.environment import find_environment
    from millrace.console.queries.query import find_tables, run_query

    # A wrong ending is refused before Athena reads anything, since a query costs.
    if output:
        check_ending(output)
    environment = find_environment(stage, build)
    if not sql.strip():
        found = [asdict(table) for table in find_tables(environment, workload=workload)]
        show_rows(found, as_json=as_json, nothing="There is no table yet: the first drop makes one.")
        return
    answer = run_query(environment, sql)
    if output:
        export(answer.rows.to_pylist(), output, answer.rows.schema)
        print(f"{count(answer.rows.num_rows, 'row')} in {output}", file=sys.stderr)
    if as_json:
        show_json({**vars(answer), "rows": answer.rows.to_pylist()})
        return
    # Figures and hints go to stderr, so that stdout has the rows alone.
    if not output:
        shown = answer.rows.slice(0, limit or None).to_pylist()
        show_rows(shown, as_json=False, nothing="No row.", has_words=False)
        if left := answer.rows.num_rows - len(shown):
            print(f"\nand {left:,} more: --limit 0 or --output FILE gives all", file=sys.stderr)
    print(f"\n{_in_words(answer)}", file=sys.stderr)


def _in_words(answer: Answer) -> str:
    read = answer.bytes_scanned
    scanned = f"{read / 1e6:,.2f} MB" if read >= 10_000 else f"{read:,} bytes"
    cost = f"{answer.usd:.5f} USD at list price" if answer.usd else "free of charge"
    return f"{count(answer.rows.num_rows, 'row')}, {scanned} read in {answer.seconds:.1f} s, {cost}"
