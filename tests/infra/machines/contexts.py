"""Contexts of the workload `electricity` without a stack, and the definition of every machine."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from millrace.infra import machines
from millrace.infra.context import Context
from millrace.infra.machines.states import Definition, State
from millrace.infra.rules.assembly import every_state
from millrace.infra.settings import settings_for
from millrace.workload.declaration import Workload
from millrace.workload.ends import Query
from millrace.workload.load import load_workload

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
MODULES = {
    found.name: importlib.import_module(f"millrace.infra.machines.{found.name}")
    for found in pkgutil.iter_modules(machines.__path__)
}
DEFINITIONS = {name: module.definition for name, module in MODULES.items() if hasattr(module, "definition")}
"""Of every machine, by name."""


QUERIES = {
    "day": Query(
        schedule="cron(0 6 * * ? *)", feed="scoring", sql="SELECT * FROM electricity_rows WHERE date > :as_of"
    ),
    "all": Query(schedule="rate(1 day)", feed="labels", sql="SELECT '{}' AS s", tables={"shop.orders": "s3://shop/o/"}),
}


@cache
def declared() -> Workload:
    """The workload as shipped, with scheduled queries, so that it has every machine."""
    return load_workload(FOLDER).model_copy(update={"queries": QUERIES})


def context_of(stage: str = "prod", **parts: dict[str, object]) -> Context:
    """The workload as shipped, but for what is given: `context_of("dev", rollout={"min_instances": 2})`.

    Plain values stand where a deploy-time token would."""
    workload = declared()
    changes = {name: getattr(workload, name).model_copy(update=values) for name, values in parts.items()}
    registry = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-{stage}"
    return Context(
        settings=settings_for(stage, account="123456789012", region="eu-west-1"),
        workload=workload.model_copy(update=changes),
        folder=FOLDER,
        key_arn="arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
        subnet_ids=("subnet-0a1b2c3d", "subnet-1a2b3c4d"),
        security_group_id="sg-0a1b2c3d",
        component="training",
        images={image: f"{registry}-{image}:local" for image in ("training", "processing", "inference")},
    )


def all_states(definition: Definition) -> dict[str, State]:
    """The states by name, those of each iteration of a Map among them: names are unique in a machine."""
    found: dict[str, Any] = dict(every_state(definition))
    return found


def states_before(last: str, definition: Definition) -> set[str]:
    """The states that a run can enter without having entered `last`."""
    before: set[str] = set()
    waiting = [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name in before or name == last:
            continue
        before.add(name)
        state = definition["States"][name]
        waiting += [state[key] for key in ("Next", "Default") if key in state]
        waiting += [one["Next"] for one in state.get("Choices", [])]
    return before
