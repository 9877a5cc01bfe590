"""Random sequences of accidents: always one live version, of which pointers, endpoint and registry are of one mind.

Nothing is held or left in the end, and nobody is asked about a version that is gone. The sequences take turns at
what a rollout may declare. By day there are thirty-six, at night a thousand."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.functions.cold_start import NAMES
from tests.release.account import ROLLOUTS, WATCHED, Account, account
from tests.release.sequences import sequence

SEQUENCES = {"none": 400, "person": 600}
"""How many there are at night, by who approves a version."""
BY_DAY = 18
SEARCHED = 40
"""In so many sequences at most an accident shows that a guard is missing."""


@pytest.fixture(scope="module", params=SEQUENCES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    logging.disable(logging.CRITICAL)  # a thousand sequences write a hundred megabytes
    with account(request.param, tmp_path_factory.mktemp("release")) as found:
        yield found
    logging.disable(logging.NOTSET)


def test_every_sequence_ends_with_one_live_version(made: Account) -> None:
    entered: Counter[str] = Counter()
    for seed in range(BY_DAY):
        found = sequence(made, seed, rollout_of(seed))
        assert not found, (seed, found, made.world.log)
        entered.update(state for one in made.world.executions.values() for state in one.path)
    # The sequences go to the ends of the machine, else they prove little.
    judged = {f"Judge {phase}" for phase in (*WATCHED, "live")}
    assert entered.keys() >= {"Live", "Its turn comes", "Update live", "Restored?", "Roll back", *judged}


def rollout_of(seed: int) -> str:
    return list(ROLLOUTS)[seed % len(ROLLOUTS)]


@pytest.mark.night("by day thirty-six sequences")
def test_each_of_a_thousand_sequences_ends_with_one_live_version(made: Account) -> None:
    wrong = {seed: sequence(made, seed, rollout_of(seed)) for seed in range(BY_DAY, SEQUENCES[made.approval])}
    assert {seed: found for seed, found in wrong.items() if found} == {}


def without_cleanup(_: Account) -> dict[str, Any]:
    """Nothing is freed or deleted."""
    return {"handlers": {"cleanup": _nothing, "sweep": _nothing}}


def without_restoration(made: Account) -> dict[str, Any]:
    """What failed releases held is freed, and nothing more."""

    def only_free(event: dict[str, Any]) -> dict[str, Any]:
        detail = {**event["detail"], "status": "SUCCEEDED"}
        return made.readers["live"]["cleanup"]({**event, "detail": detail})

    return {"handlers": {"cleanup": only_free, "sweep": _nothing}}


def without_approval(made: Account) -> dict[str, Any]:
    """A version that waits for a person, or was refused, goes on."""
    changed = copy.deepcopy(made.definitions["live"])
    for branch in changed["States"]["Open?"]["Choices"]:
        if branch.get("StringEquals") in ("unapproved", "refused"):
            branch["Next"] = "Preflights"
    return {"definition": changed}


def without_scaling(made: Account) -> dict[str, Any]:
    """The live endpoint is not scaled."""
    changed = copy.deepcopy(made.definitions["live"])
    changed["States"]["Live in service?"]["Choices"][0]["Next"] = "Advance release"
    return {"definition": changed, **without_restoration(made)}


def without_the_end_of_a_canary(made: Account) -> dict[str, Any]:
    """Leases are freed, and nothing else that a release held: its end counts as a training's."""

    def of_a_training(event: dict[str, Any]) -> dict[str, Any]:
        detail = {**event["detail"], "stateMachineArn": NAMES.machine_arn("train")}
        return made.readers["live"]["cleanup"]({**event, "detail": detail})

    return {"handlers": {"cleanup": of_a_training}}


def _nothing(_event: Any) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("made", ["person"], indirect=True)
@pytest.mark.parametrize(
    ("control", "rollout", "seen", "first"),
    [
        (without_cleanup, "live", "lease#release is held by", 0),
        (without_cleanup, "live", "a challenger is left", 0),
        (without_the_end_of_a_canary, "canary", "a canary is left", 37),
        (without_restoration, "live", "the endpoint serves", 482),
        (without_approval, "live", "nobody has approved it", 25),
        (without_scaling, "live", "is not scaled", 0),
        # Items outlive the phase that has asked: the sweep is that of a workload without the phase.
        (lambda made: {"handlers": {"sweep": made.readers["live"]["sweep"]}}, "assisted", "people are still asked", 0),
    ],
)
def test_without_a_guard_a_sequence_goes_wrong(
    made: Account,
    control: Callable[[Account], dict[str, Any]],
    rollout: str,
    seen: str,
    first: int,
) -> None:
    for seed in range(first, first + SEARCHED):  # `first` is near one that shows it
        if any(seen in wrong for wrong in sequence(made, seed, rollout, quiet_days=0.5, **control(made))):
            return
    pytest.fail(f"{SEARCHED} sequences show nothing like {seen!r}")
