"""Storms of alarms: never two trainings at once, no bound of the guard or the budget passed, in the end all is idle.

By day there are few storms, at night a thousand."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from millrace.infra.machines import retrain
from millrace.state.budget import MonthlyBudget
from millrace.state.holdings import Leases
from millrace.timestamps import parse_utc
from tests.release.account import Account, account
from tests.release.storms import CHANGES, storm

STORMS, BY_DAY = 1000, 12
SEARCHED = 40
"""In so many storms at most one shows that a guard is missing."""
FUNCTIONS = ("guard", "budget", "cleanup", "sweep")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    logging.disable(logging.CRITICAL)
    folder = tmp_path_factory.mktemp("storms")
    with account(
        "none", folder, rollouts=["live"], machine=retrain.definition, functions=FUNCTIONS, changes=CHANGES
    ) as found:
        yield found
    logging.disable(logging.NOTSET)


def test_every_storm_ends_idle_and_within_its_bounds(made: Account) -> None:
    entered, reasons = Counter[str](), Counter[str]()
    for seed in range(BY_DAY):
        found = storm(made, seed)
        assert not found, (seed, found, made.world.log)
        for one in made.world.executions.values():
            entered.update(one.path)
            if one.machine == "retrain" and isinstance(one.data, dict) and "guard" in one.data:
                reasons[one.data["guard"]["answer"]["reason"]] += 1
    # The storms meet each bound, else they prove little.
    assert entered["Train"] > BY_DAY
    assert reasons.keys() >= {"accepted", "running", "cool_down", "runs_per_month", "budget"}, reasons


@pytest.mark.night("by day twelve storms")
def test_each_of_a_thousand_storms_ends_idle_and_within_its_bounds(made: Account) -> None:
    wrong = {seed: storm(made, seed) for seed in range(BY_DAY, STORMS)}
    assert {seed: found for seed, found in wrong.items() if found} == {}


def without_cleanup(_: Account) -> dict[str, Any]:
    """Nothing is freed."""
    return {"cleanup": lambda _: {}, "sweep": lambda _: {}}


def without_guard(made: Account) -> dict[str, Any]:
    """Whatever the guard says, the retraining starts."""
    return {"guard": lambda event: made.handlers["guard"](event) | {"accepted": True}}


def without_lease(made: Account) -> dict[str, Any]:
    """Guard and budget take no leases: whoever comes is let through by all else."""

    def freed(name: str) -> Any:
        def called(event: dict[str, Any]) -> dict[str, Any]:
            answer = made.handlers[name](event)
            Leases(made.state).free(event["execution"])
            return answer

        return called

    return {name: freed(name) for name in ("guard", "budget")}


def without_budget(made: Account) -> dict[str, Any]:
    """Whatever the budget says, the training starts, and reserves."""

    def reserving(event: dict[str, Any]) -> dict[str, Any]:
        answer = made.handlers["budget"](event)
        at = parse_utc(event["state"]["as_of"])
        MonthlyBudget(made.state).reserve(answer["projected_usd"], arn=event["execution"], as_of=at, monthly_usd=1e6)
        return answer | {"accepted": True}

    return {"budget": reserving}


@pytest.mark.parametrize(
    ("control", "seen"),
    [
        (without_cleanup, "is held by"),
        (without_lease, "trainings at once"),
        (without_guard, "retrainings in"),
        (without_budget, "trainings at once"),
        (lambda made: without_guard(made) | without_budget(made), " USD in "),
    ],
)
def test_without_a_guard_a_storm_goes_wrong(made: Account, control: Any, seen: str) -> None:
    for seed in range(SEARCHED):
        if any(seen in wrong for wrong in storm(made, seed, handlers=control(made))):
            return
    pytest.fail(f"{SEARCHED} storms show nothing like {seen!r}")
