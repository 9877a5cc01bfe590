"""A dry run of an edited policy: what it would have done with answers that are recorded, and how good those are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from statistics import mean
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.decisions import act_again, acting_of, find_days
from millrace.console.queries.labels import find_labels
from millrace.console.queries.versions import state_of
from millrace.console.words import count
from millrace.contract.schema import Contract
from millrace.decisions.record import Decision
from millrace.decisions.standing import threshold_of
from millrace.names import WorkloadNames
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
    spec = workload.prediction
    found = [*islice(_answers(environment, names, live.version), TRIED)]
    if not found:
        return f"dry run: version {live.version} has no recorded answers"
    acting = None
    if policy := workload.policy:
        now = threshold_of(policy.automate, live, KeptPromise.find(state_of(environment, names), live.version))
        acting = replace(acting_of(environment, names, policy, spec, contract.table("scoring")), threshold=now)
    again = [act_again(acting, one, spec, one.output, one.watched).action for one in found]
    errors = _errors(environment, names, found, workload, contract)

    def told(actions: Sequence[str]) -> tuple[int, str]:
        acts = [
            errors[one.id] for one, did in zip(found, actions, strict=True) if did == "automated" and one.id in errors
        ]
        return actions.count("review"), f"{mean(acts):.3g} by {count(len(acts), 'label')}" if acts else "not known"

    (was_asked, was), (asked, error) = told([one.action for one in found]), told(again)
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
