"""Random sequences of accidents: always one live version, of which pointers, endpoint and registry are of one mind.

Nothing is held or left in the end. By day there are thirty sequences, at night a thousand."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.release.account import Account, account
from tests.release.sequences import live_sequence

SEQUENCES = {"none": 250, "person": 500}
"""How many there are at night, by who approves a version."""
WARM = "warm"
"""Nobody approves one, and the version before stays warm."""
WARM_HOURS = 30
BY_DAY = 15
SEARCHED = 40
"""In so many sequences at most an accident shows that a guard is missing."""


@pytest.fixture(scope="module", params=[*SEQUENCES, WARM])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    logging.disable(logging.CRITICAL)  # a thousand sequences write a hundred megabytes
    warm, scratch = request.param == WARM, tmp_path_factory.mktemp("release")
    approval, hours = ("none", WARM_HOURS) if warm else (request.param, 0)
    with account(approval, ["live"], scratch, warm_hours=hours) as found:
        yield found
    logging.disable(logging.NOTSET)


def test_every_sequence_ends_with_one_live_version(made: Account) -> None:
    entered: Counter[str] = Counter()
    for seed in range(BY_DAY):
        found = live_sequence(made, seed)
        assert not found, (seed, found, made.world.log)
        entered.update(state for one in made.world.executions.values() for state in one.path)
    # The sequences go to the ends of the machine, else they prove little.
    expected = {"Live", "Its turn comes", "Update live", "Restored?"}
    warm = {"Judge live", "Watch live", "Roll back", "Delete what was warm"}
    assert entered.keys() >= expected | (warm if "Is one warm?" in made.definition["States"] else set())


@pytest.mark.night("by day thirty sequences")
def test_each_of_a_thousand_sequences_ends_with_one_live_version(made: Account) -> None:
    wrong = {seed: live_sequence(made, seed) for seed in range(BY_DAY, SEQUENCES[made.approval])}
    assert {seed: found for seed, found in wrong.items() if found} == {}


def without_cleanup(made: Account) -> dict[str, Any]:
    """Nothing is freed or deleted."""
    return {"handlers": {"cleanup": _nothing, "sweep": _nothing}}


def without_restoration(made: Account) -> dict[str, Any]:
    """What failed releases held is freed, and nothing more."""

    def only_free(event: dict[str, Any]) -> dict[str, Any]:
        detail = {**event["detail"], "status": "SUCCEEDED"}
        return made.handlers["cleanup"]({**event, "detail": detail})

    return {"handlers": {"cleanup": only_free, "sweep": _nothing}}


def without_approval(made: Account) -> dict[str, Any]:
    """A version that waits for a person, or was refused, goes on."""
    changed = copy.deepcopy(made.definition)
    for branch in changed["States"]["Open?"]["Choices"]:
        if branch.get("StringEquals") in ("unapproved", "refused"):
            branch["Next"] = "Preflights"
    return {"definition": changed}


def without_scaling(made: Account) -> dict[str, Any]:
    """The live endpoint is not scaled."""
    changed = copy.deepcopy(made.definition)
    changed["States"]["Live in service?"]["Choices"][0]["Next"] = "Advance release"
    return {"definition": changed, **without_restoration(made)}


def _nothing(_event: Any) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("made", ["person"], indirect=True)
@pytest.mark.parametrize(
    ("control", "seen", "first"),
    [
        (without_cleanup, "is held by", 0),
        (without_cleanup, "a challenger is left", 0),
        (without_restoration, "the endpoint serves", 482),
        (without_approval, "nobody has approved it", 25),
        (without_scaling, "is not scaled", 0),
    ],
)
def test_without_a_guard_a_sequence_goes_wrong(
    made: Account, control: Callable[[Account], dict[str, Any]], seen: str, first: int
) -> None:
    for seed in range(first, first + SEARCHED):  # `first` is near one that shows it
        if any(seen in wrong for wrong in live_sequence(made, seed, quiet_days=0.5, **control(made))):
            return
    pytest.fail(f"{SEARCHED} sequences show nothing like {seen!r}")
