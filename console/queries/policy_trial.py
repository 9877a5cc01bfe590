"""A dry run of an edited policy: what it would have done with answers that are recorded, and how good those are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from statistics import mean
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.decisions import find_days
from millrace.console.queries.labels import find_labels
from millrace.console.queries.versions import state_of
from millrace.console.words import count
from millrace.contract.kinds import FLOATS
from millrace.contract.schema import Contract
from millrace.decisions.policy import Acting, act
from millrace.decisions.record import Decision
from millrace.decisions.standing import threshold_of
from millrace.names import WorkloadNames
from millrace.state.own_secrets import HELD_OUT
from millrace.state.pointers import Version
from millrace.state.versions import KeptPromise
from millrace.tasks.catalogue import declare
from millrace.workload.declaration import Workload

TRIED = 1000
"""So many answers of the live version are tried: the newest by event time."""


def try_policy(
    environment: Environment, names: WorkloadNames, live: Version, workload: Workload, contract: Contract
) -> str:
    """`dry run on 90 answers since 1997-05-01: 31 to a person (were 28), error of those that act 0.1 by 4 labels (…`.

    Pauses and the floor are left out. Nothing acts by a promise that is stronger than the version's own."""
    spec, state = workload.prediction, state_of(environment, names)
    found = [*islice(_answers(environment, names, live.version), TRIED)]
    if not found:
        return f"dry run: version {live.version} has no recorded answers"
    policy, table = workload.policy, contract.table("scoring")
    acting = None if policy is None else Acting(
        policy=policy,
        threshold=threshold_of(policy.automate, live, KeptPromise.find(state, live.version)),
        secret=state.get(HELD_OUT).get("secret", {"S": ""})["S"],
        float_keys=frozenset(name for name in spec.key if table.column(name).kind in FLOATS),
        is_timeless=bool(table.column(spec.event_time).generated),
    )  # fmt: skip

    def action(one: Decision) -> str:
        cells, key, when = json.loads(one.input), {name: one.key[name] for name in spec.key}, one.event_time
        return act(acting, output=one.output, cells=cells, event_time=when, key=key, watched=one.watched).action

    errors = _errors(environment, names, found, workload, contract)

    def told(actions: Sequence[str]) -> tuple[int, str]:
        acts = [
            errors[one.id] for one, did in zip(found, actions, strict=True) if did == "automated" and one.id in errors
        ]
        return actions.count("review"), f"{mean(acts):.3g} by {count(len(acts), 'label')}" if acts else "not known"

    (was_asked, was), (asked, error) = told([one.action for one in found]), told([*map(action, found)])
    return (
        f"dry run on {count(len(found), 'answer')} since {found[-1].event_time:%Y-%m-%d}: {asked:,} to a person "
        f"(were {was_asked:,}), error of those that act {error} (was {was})"
    )


def _answers(environment: Environment, names: WorkloadNames, version: str) -> Iterator[Decision]:
    for day in find_days(environment, names, most_scored=TRIED):
        yield from (one for one in reversed(day.decisions) if one.model_version == version)


def _errors(
    environment: Environment, names: WorkloadNames, found: Sequence[Decision], workload: Workload, contract: Contract
) -> Mapping[str, float]:
    """The error of each answer whose label is known, by its id."""
    spec, task, errors = workload.prediction, declare(workload.prediction, contract.label), dict[str, float]()
    # An answer that the floor withheld has no value.
    values = {one.id: value for one in found if (value := one.output["value"]) is not None}
    for name, labels in find_labels(environment, names, found).items():
        known = {one.hours: [*one.value.values()] if spec.labels else one.value for one in labels if one.counts}
        if known and name in values:
            label: Any = [known.get(at) for at in spec.horizons] if spec.horizons[1:] else next(iter(known.values()))
            errors[name] = task.error(values[name], label)
    return errors
