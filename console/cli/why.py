"""The command that says why a decision is as it is: what it came from, and whether its version says the same again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Json, Target
from millrace.console.cli.printing import show, show_json, show_rows

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.names import WorkloadNames


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
        show_again = _show_explanation if explain else _show_replay
        show_again(*target.find_deployed(), id, as_json=as_json)
        return
    # The chain link by link, from the decision back to the files. A broken link is shown too, and fails the command.
    links = list(trace(*target.find_deployed(), id))
    show(links, as_json=as_json, nothing="")
    if broken := [link.what for link in links if link.state == "broken"]:
        print(f"millrace: the chain breaks at: {', '.join(broken)}", file=sys.stderr)
        raise typer.Exit(1)


def _show_explanation(environment: Environment, names: WorkloadNames, decision: str, *, as_json: bool) -> None:
    from millrace.console.presenters.contributions import contribution_rows
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
