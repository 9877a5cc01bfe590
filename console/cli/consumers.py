"""`millrace consumers`: where decisions go, and what has not arrived."""

from __future__ import annotations

from dataclasses import asdict

from console.cli.environment import find_deployed
from console.cli.options import Build, Json, Stage, Workload
from console.cli.printing import show_json, show_rows
from console.columns import table


def consumers(workload: Workload, stage: Stage, build: Build, json: Json) -> None:
    """Show the consumers of decisions: how many messages wait for each, and how many it has refused too often.

    Example: millrace consumers, then, once a target is mended, millrace dead consumer-crm --redrive."""
    from console.queries.consumers import find_consumers

    environment, names = find_deployed(stage, build, workload)
    found = find_consumers(environment, names)
    if json:
        show_json([asdict(one) for one in found])
    else:
        nothing = f"{names.workload} declares no consumer in this stage: docs/review.md#consumers."
        show_rows(table(found), as_json=False, nothing=nothing)
