"""Merges the statements of those who share a role, so that its policy has each permission once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from millrace.infra.iam.resource import Statement


def merged(statements: Iterable[Statement]) -> list[Statement]:
    """Statements that allow the same, with each action on each resource under a condition once: actions on the same
    resources together. They have no reasons."""
    arns: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in statements:
        for action in one.actions:
            arns[action, json.dumps(one.conditions, sort_keys=True)].update(one.resources)
    actions: dict[tuple[str, tuple[str, ...], str], list[str]] = defaultdict(list)
    for (action, condition), where in arns.items():
        actions[action.partition(":")[0], tuple(sorted(where)), condition].append(action)
    return [
        Statement(actions=tuple(sorted(several)), resources=where, conditions=json.loads(condition))
        for (_, where, condition), several in actions.items()
    ]
