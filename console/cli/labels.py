"""`millrace labels`: the batches of labels that are held for a person, and the labels that a model contradicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from millrace.console.cli.options import Json, Target
from millrace.console.cli.printing import show_json, show_rows

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.names import WorkloadNames


def labels(
    target: Target,
    as_json: Json,
    accept: Annotated[str, typer.Option(metavar="DROP", help="Let this batch be learnt.")] = "",
    refuse: Annotated[str, typer.Option(metavar="DROP", help="Never learn from this batch.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the audit table.")] = "",
    doubted: Annotated[
        bool, typer.Option("--doubted", help="Show the labels that a model contradicts instead.")
    ] = False,
) -> None:
    """Show the batches of labels that were held since they do not fit what is known; accept or refuse one.

    `--doubted` shows the labels that contradict the model most, and what people said who were asked about them.

    Example: millrace labels --accept june.csv --reason "a new tariff". DROP is its id, or the end of its key."""
    from millrace.console.actions.labels import DROP_SHORT, decide, find_held

    if accept and refuse:
        raise typer.BadParameter("expected one of --accept and --refuse, got both", param_hint="--accept")
    if doubted and (accept or refuse):
        raise typer.BadParameter("expected no --accept and no --refuse beside it, got one", param_hint="--doubted")
    environment, names = target.find_deployed()
    if doubted:
        nothing = "No monitor run has found a label to doubt; without policy.label_errors_a_day none looks for one."
        show_rows(list(_doubted(environment, names)), as_json=as_json, nothing=nothing)
        return
    if not (accept or refuse):
        rows = [
            {
                "drop": one.object.drop_id if as_json else one.object.drop_id[:DROP_SHORT],
                "key": one.object.key,
                "labels": one.labels,
                "came": one.held_at,
                "because": "; ".join(one.because),
                "status": one.status,
                "by": one.by,
                "reason": one.reason,
            }
            for one in find_held(environment, names)
        ]
        show_rows(rows, as_json=as_json, nothing="No labels were held.")
        return
    status: Literal["accepted", "refused"] = "accepted" if accept else "refused"
    batch, run = decide(environment, names, accept or refuse, status, reason=reason)
    if as_json:
        show_json({"drop": batch.object.drop_id, "key": batch.object.key, "status": status, "run": run})
    else:
        print(f"{batch.object.key}: {status}" + (f"; run {run} learns it" if run else ""))


def _doubted(environment: Environment, names: WorkloadNames) -> Iterator[dict[str, Any]]:
    from millrace.console.queries.labels import find_label_errors

    for one in find_label_errors(environment, names):
        yield {
            "decision": one.label.id,
            "about": one.label.event_time,
            "label": one.label.label,
            "doubt": round(one.label.doubt, 4),
            "version": one.version,
            "status": one.outcome,
            "answer": one.item.outcome if one.item and one.item.answer else "",
        }
