"""The commands on records: `millrace quarantine`, `decisions`, `why`, `cost`, `report`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Json, Target, flag
from millrace.console.cli.printing import show, show_json, show_rows
from millrace.console.stages import command
from millrace.console.words import count, table
from millrace.contract.load import load_contract
from millrace.errors import EnvironmentNotFoundError
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.decisions.record import Decision
    from millrace.names import WorkloadNames


From = Annotated[str, typer.Option("--from", help="First day of event time, as 1997-05-01.")]
To = Annotated[str, typer.Option("--to", help="Last day of event time.")]
Limit = Annotated[int, typer.Option(min=0, help="Rows at most; 0 for all.")]
Labels = Annotated[
    bool, typer.Option("--labels", help="With the label of each that counts, and those that it replaced.")
]
AT_ONCE = 100
"""Decisions whose reviews are looked up together."""


def quarantine(
    target: Target,
    as_json: Json,
    drop: Annotated[str, typer.Option(help="Of this dropped object: its key, or the end of it.")] = "",
    reason: Annotated[str, typer.Option(help="With this reason, for example range or duplicate_key.")] = "",
    rows: Annotated[
        Path | None, typer.Option(help="Write the rows of one --drop to this file, in its format, to be mended.")
    ] = None,
    limit: Limit = 20,
) -> None:
    """Show quarantined rows: how many by reason, then reason, column, expected and actual value, line.

    Example: millrace quarantine --drop week.csv. With --rows a file has the rows as the dropped file had them, with
    their lines: mend it, or the contract, and drop it with --repairs week.csv. --json also has the rows as they came,
    each as text, where long cells are cut."""
    from millrace.console.queries import drops as refused
    from millrace.console.queries.repairs import find_repairs

    refused.check_reason(reason)
    environment, names = target.find_deployed()
    contract = load_contract(workloads_folder() / names.workload).mending()
    repairs = find_repairs(environment, names, contract)
    found = repairs.told(refused.find_rows(environment, names, drop=drop, reason=reason))
    if rows:
        from millrace.console.actions.repair import write_refused_rows

        waiting = [row for row in found if not row.repaired]
        count = write_refused_rows(environment.client("s3"), contract, waiting, rows)
        mends = () if waiting[0].feed == "scoring" else ("--repairs", drop)
        then = command(names, "drop", str(rows), "--feed", waiting[0].feed, *mends)
        print(f"{count:,} refused rows in {rows}: mend them or the contract, then {then}", file=sys.stderr)
        return
    # The counts are of all rows. The table has `limit` of them.
    counts, repaired, shown = refused.summarize(found, shown=limit or None)
    if as_json:
        show_json({"reasons": dict(counts), "repaired": dict(+repaired)} | {"rows": [asdict(row) for row in shown]})
        return
    columns = {"rows": counts, "repaired": +repaired}
    reasons = [{"reason": one} | {name: rows[one] for name, rows in columns.items() if rows} for one in counts]
    whose = f" of a drop whose key ends with {drop}; `millrace runs` names the drops" if drop else ""
    show_rows(reasons, as_json=False, nothing=f"No row was refused{whose}.")
    if reasons:
        print()
        show_rows(table(shown), as_json=False, nothing="")
    if left := counts.total() - len(shown):
        print(f"\nand {left:,} more: --limit 0 gives all", file=sys.stderr)


def decisions(
    target: Target,
    first: From = "",
    last: To = "",
    id: Annotated[str, typer.Option(help="The decision with this id.")] = "",  # noqa: A002 - the option's name
    limit: Limit = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one for each decision.")] = False,
    labels: Labels = False,
) -> None:
    """Show stored predictions, the newest day first. Of several lines with one id the last is shown.

    Example: millrace decisions --from 1997-05-01 --to 1997-05-02 --limit 10. Days are days of the rows' event time."""
    from millrace.console.cli.printing import json_line
    from millrace.console.queries.decisions import day_named, find_decision, words_of

    environment, names = target.find_deployed()
    days = {
        "first": day_named("--from", first) if first else None,
        "last": day_named("--to", last) if last else None,
    }
    if id:
        kept = find_decision(environment, names, id, **days)
        if kept is None:
            raise EnvironmentNotFoundError(
                f"--id: expected the id of a decision in the lake, got {id!r}, which no line has"
            )
        found: Iterator[Decision] = iter([kept.decision])
    else:
        found = _decisions(environment, names, days)
    # Days are read one after another as they are printed, so a limit also limits what is read. Labels are looked up for
    # all shown decisions at once.
    found = islice(found, limit) if limit else found
    rows = (_with_labels if labels else _rows)(environment, names, found)
    if as_json:
        for row in rows:
            print(json_line(row))
    else:
        word = words_of(names)[1].word
        table = [
            {key: word(value) if key == "label" else value for key, value in row.items() if key not in ("input", "key")}
            for row in rows
        ]
        show_rows(table, as_json=False, nothing="No decision about these days.")


def cost(
    target: Target,
    as_json: Json,
    ahead: Annotated[bool, flag("--ahead", "A month to come, by the declaration and the last three months.")],
    month: Annotated[str, typer.Option(help="As 1997-06; without it the last with a run.")] = "",
    requests: Annotated[float | None, typer.Option(min=0, help="With --ahead: requests in a day.")] = None,
    files: Annotated[float | None, typer.Option(min=0, help="With --ahead: files to score in the month.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="With --ahead: minutes of a job.")] = None,
    bulk_gb: Annotated[float | None, typer.Option(min=0, help="With --ahead: GB that Spark judges.")] = None,
) -> None:
    """Show a month's cost: runs by model version, all other work, storage, the endpoint, and what is billed anyway.

    Example: millrace cost --month 1997-05; millrace cost --ahead --requests 5000 --stage prod. Reserved amounts are
    upper bounds that the budget counts; estimates are billed seconds times list prices. Neither is a bill."""
    from millrace.console.queries.money.month import find_bills, find_cost

    environment, names = target.find() if ahead else target.find_deployed()
    workload = load_workload(workloads_folder() / names.workload)
    if ahead:
        from millrace.console.queries.money.ahead import Projection
        from millrace.console.queries.upgrade import synthesized

        expected = {"requests": requests, "files": files, "minutes": minutes, "bulk_gb": bulk_gb}
        bills = find_bills(environment, names, workload)
        projection = Projection(names=names, workload=workload, bills=bills, **expected)
        show(projection.lines(synthesized(environment, target.build)), as_json=as_json, nothing="Nothing is billed.")
        return
    found = find_cost(environment, names, workload, month=month)
    if as_json:
        show_json(asdict(found))
        return
    print(f"{found.month}: {found.reserved_usd:.2f} of {found.budget_usd:.2f} USD reserved (upper bounds)\n")
    show_rows(table(found.lines), as_json=False, nothing="Nothing is deployed or was done that is billed.")
    monthly, endpoint = found.sum("monthly"), found.sum("monthly with an endpoint")
    print(f"\nEstimated for {found.month}: {found.sum('once'):.2f} USD")
    print(f"A month while nothing happens: {monthly:.2f} USD, with an endpoint {monthly + endpoint:.2f} and its hours")


def _decisions(environment: Environment, names: WorkloadNames, days: dict[str, date | None]) -> Iterator[Decision]:
    """The decisions about these days, the newest first; names objects with unreadable lines on stderr."""
    from millrace.console.queries.decisions import find_days

    for day in find_days(environment, names, first=days["first"], last=days["last"]):
        for uri, lines in day.unreadable.items():
            print(f"{uri}: {count(lines, 'line')} of it cannot be read as decisions", file=sys.stderr)
        yield from reversed(day.decisions)


def _rows(environment: Environment, names: WorkloadNames, found: Iterator[Decision]) -> Iterator[dict[str, Any]]:
    """A row for each decision, some at a time. Those of a policy say what a person has decided."""
    from millrace.console.actions.predict import with_class
    from millrace.console.queries.decisions import words_of
    from millrace.console.queries.reviews import find_items

    words, label = words_of(names)
    while some := list(islice(found, AT_ONCE)):
        items = find_items(environment, names, [one.id for one in some if one.action == "review"])
        for one in some:
            reviewed = items[one.id].outcome(label) if one.id in items else ""
            yield with_class(_decision_row(one), words) | ({"person": reviewed} if one.has_policy else {})


def _with_labels(environment: Environment, names: WorkloadNames, some: Iterator[Decision]) -> Iterator[dict[str, Any]]:
    """A row for each decision, with the label that counts (a list if there are several) and the replaced ones."""
    from millrace.console.queries.labels import find_labels

    known = find_labels(environment, names, found := [*some])
    for decision, row in zip(found, _rows(environment, names, iter(found)), strict=True):
        labels = known.get(decision.id, ())
        counts = [label.value for label in labels if label.counts]
        replaced = [label.value for label in labels if not label.counts]
        # A forecast has a label for each horizon.
        label = counts[0] if len(counts) == 1 else counts or None
        yield {**row, "label": label, "replaced_labels": replaced}


def _decision_row(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "event_time": decision.event_time,
        **decision.output,
        **decision.dated,
        "model_version": decision.model_version,
        "phase": None if decision.fallback else decision.phase,
        "fallback": decision.fallback,
        **({"action": decision.action, "reason": decision.reason} if decision.has_policy else {}),
        "latency_ms": None if decision.source == "batch" else decision.latency_ms,
        "inferred_at": decision.inferred_at,
        "key": dict(decision.key),
        "input": decision.input,
    }


ReportOutput = Annotated[
    Path | None,
    typer.Option(show_default="report-<workload>-<stage>.html in the build folder", help="The HTML file to write."),
]


def report(target: Target, output: ReportOutput = None) -> None:
    """Write a workload's state as one HTML page: models with gates and curves, drift, error, runs, lineage, cost.

    Example: millrace report --stage dev --output report.html. It reads the newest 100 runs of each machine."""
    from millrace.console.pages.page import page
    from millrace.console.queries.report import question_of, read_report

    environment, names = target.find()
    found = read_report(environment, names, question=question_of(workloads_folder() / names.workload))
    for part, why in found.unread.items():
        print(f"{part}: {why.words}", file=sys.stderr)
    html = page(found)
    path = output or target.build / f"report-{names.workload}-{target.stage}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    print(path)


def why(
    id: Annotated[str, typer.Argument(help="The id of a decision.")],  # noqa: A002 - as it is called
    target: Target,
    as_json: Json,
    explain: Annotated[bool, typer.Option("--explain", help="What each column added to the answer.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Answer again, and compare the bits.")] = False,
) -> None:
    """Trace a decision back to the files: model version, run, snapshot, drops, contract, code, gates, with digests.

    Example: millrace why 6f1c2d3e-0000-0000-0000-000000000000-0. ✓ was computed again from S3, · is as recorded, ✗ says
    where the chain breaks; then the exit status is 1. With --explain the version that answered is run again on the
    decision's input, and the answer is taken apart. With --replay the archived version answers the row again, in a
    process of its own; the exit status is 1 if a bit is another one."""
    from millrace.console.queries.lineage import trace

    if explain and replay:
        raise typer.BadParameter("expected one of --explain and --replay, got both")
    if explain or replay:
        (_show_explanation if explain else _show_replay)(*target.find_deployed(), id, as_json=as_json)
        return
    # The chain link by link, from the decision back to the files. A broken link is shown too, and fails the command.
    links = list(trace(*target.find_deployed(), id))
    show(links, as_json=as_json, nothing="")
    if broken := [link.what for link in links if link.state == "broken"]:
        print(f"millrace: the chain breaks at: {', '.join(broken)}", file=sys.stderr)
        raise typer.Exit(1)


def _show_explanation(environment: Environment, names: WorkloadNames, decision: str, *, as_json: bool) -> None:
    from millrace.console.presenters.gates import contribution_rows
    from millrace.console.queries.decisions import explain_decision

    found = explain_decision(environment, names, decision)
    if as_json:
        show_json(found)
        return
    show_rows(contribution_rows(found), as_json=False, nothing="")
    error = found["standard_error"]
    print(f"\nShapley values{f', standard error at most {error:.2g}' if error else ', exact'}")


def _show_replay(environment: Environment, names: WorkloadNames, decision: str, *, as_json: bool) -> None:
    from millrace.console.queries.replay import replay_decision
    from millrace.decisions.record import canonical

    found = replay_decision(environment, names, decision)
    if as_json:
        show_json(asdict(found))
    else:
        # All digits: the numbers of a table for people are rounded.
        rows: list[dict[str, Any]] = [
            {"": "✓", "cell": name, "kept": canonical(cell)}
            for name, cell in found.kept.items()
            if canonical(cell) == canonical(found.again.get(name))
        ]
        rows += [
            {"": "✗", "cell": one.cell, "kept": canonical(one.kept), "again": canonical(one.again), "bit": one.bit}
            for one in found.differences
        ]
        if found.action:
            mark, other = ("✓", None) if found.action == found.action_again else ("·", found.action_again)
            rows.append({"": mark, "cell": "action", "kept": found.action, "again": other})
        show_rows(rows, as_json=False, nothing="")
        said = "other bits" if found.differences else "the same bits"
        print(f"\nVersion {found.version}, model {found.model_digest[:12]}, signed: {said}")
    if found.differences:
        raise typer.Exit(1)
