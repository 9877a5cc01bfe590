"""Storms of alarms: random requests for retrainings, what goes wrong meanwhile, and what has to hold.

The machine `retrain` is the deployed definition, the functions are the real ones. Of a training only its budget is
real: the rest is a random time and a random end. A function may be overtaken between any two of its calls."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from millrace.names import hash_of_run
from millrace.state.budget import MonthlyBudget
from millrace.state.holdings import Leases
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.timestamps import month, parse_utc
from tests.functions.cold_start import NAMES
from tests.release.account import Account
from tests.release.sequences import HOUR
from tests.release.world import ACCIDENTS, Execution, World

EVENT = json.loads((Path(__file__).resolve().parents[2] / "events" / "budget.json").read_text())
CHANGES = {
    "cool_down_days: 35": "cool_down_days: 3",
    "minimum_new_labels: 1344": "minimum_new_labels: 0",
    "maximum_runs_per_month: 4": "maximum_runs_per_month: 3",
    "monthly_usd: 50": "monthly_usd: 1.1",
}
"""Declared so that each bound of the guard is met in a storm of weeks; the budget has room for three trainings."""
DAY = 24 * HOUR
PAUSES = (0, 0, 0, 1, 30, 2 * HOUR, 20 * HOUR, 80 * HOUR)
"""Seconds between two things that happen."""
WEIGHTS = {
    "alarm": 8, "alarms at once": 5, "schedule": 2, "command": 3, "command and alarm": 2,
    "kill": 3, "kill, answer lost": 3, "kill training": 2, "time out": 1, "redrive": 3,
    "lose an event": 3, "double an event": 1, "bad luck": 3, "sweep": 2,
}  # fmt: skip


@dataclass(kw_only=True)
class Storm(World):
    """An account in which retrainings are asked for."""

    overtaken: float = 0.0
    """The chance that something else that is due happens before a function's next call."""
    at_once: int = 0
    """The most trainings that ran at once."""
    training: set[str] = field(default_factory=set)
    """The trainings that run now: they have passed the budget."""
    accepted: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """The retrainings that the guard let start, in order: by whom, and the time that counted."""
    _depth: int = 0

    def before_call(self) -> None:
        super().before_call()
        if not self._depth and self.overtaken and self.chance.random() < self.overtaken:
            kills, self.kills, self._depth = self.kills, None, 1
            try:
                self.happen(within_s=300)
            finally:
                self.kills, self._depth = kills, 0

    def start(self, given: Mapping[str, Any], name: str = "", *, machine: str = "retrain") -> Execution:
        made = super().start(given, name, machine=machine)
        if machine == "release":  # the sweep's: no endpoint is there
            self.end(made, "SUCCEEDED", None)
        return made

    def sweep(self) -> None:
        """Only where there is something to find, since it takes most of the time; that is looked at once a day."""
        if self.running() or Leases(self.state()).holdings():
            super().sweep()
        else:
            self.later(DAY, self.sweep)

    def state(self) -> StateTable:
        return StateTable(self.client("dynamodb"), NAMES)

    def _step(self, one: Execution) -> None:
        if one.machine == "train":
            self._train(one)
        elif one.state == "Train":
            self._begin_training(one)
        else:
            is_guard = one.state == "Guard"
            super()._step(one)
            answer = one.data.get("guard", {}).get("answer", {}) if is_guard else {}
            if answer.get("accepted") and one.arn not in self.accepted:
                self.accepted[one.arn] = (parse_utc(answer["evidence"]["as_of"]), answer["trigger"])

    def _begin_training(self, one: Execution) -> None:
        """The state waits for an execution of `train`, which its name says."""
        one.before = (one.state, one.data)
        one.path.append(one.state)
        name = f"{hash_of_run(one.name)}-0-{one.redrives}"
        if name in self.executions:
            return self.end(one, "FAILED", "StepFunctions.ExecutionAlreadyExistsException")
        child, run = self.start(one.data, name, machine="train"), one.run

        def look() -> None:
            if one.run != run or one.status != "RUNNING":
                # Step Functions stops what a stopped execution waits for, at best effort.
                if child.status == "RUNNING" and self.chance.random() < 0.7:
                    self.end(child, "ABORTED", None)
            elif child.status == "RUNNING":
                self.later(HOUR, look)
            elif child.status == "SUCCEEDED":
                one.state = "Retrained"
                super(Storm, self)._step(one)
            else:
                self.end(one, "FAILED", "States.TaskFailed")

        return self.later(1, look)

    def _train(self, one: Execution) -> None:
        """Ask the budget, then run for hours."""
        one.path.append("Budget")
        given = json.loads(json.dumps(EVENT)) | {"execution": one.arn, "run": one.name}
        given["state"] |= {"as_of": one.data["as_of"], "started": self.now(), "reason": "alarm", "detail": {}}
        given["state"]["snapshot"]["answer"] |= {"gate": "non_inferiority"}
        came = self.call("budget", given, attempts=3)
        if one.status != "RUNNING":
            return
        if isinstance(came, Exception):
            self.end(one, "FAILED", type(came).__name__)
        elif not came["accepted"]:
            self.end(one, "SUCCEEDED", None)
        else:
            self.training.add(one.arn)
            self.at_once = max(self.at_once, len(self.training))
            good = self.chance.random() < 0.7
            self.later(
                self.chance.uniform(0.2, 24) * HOUR,
                lambda: self.end(one, "SUCCEEDED" if good else "FAILED", None if good else "States.TaskFailed"),
            )

    def end(self, one: Execution, status: str, error: str | None) -> None:
        if one.status == "RUNNING":
            self.training.discard(one.arn)
        super().end(one, status, error)


def storm(made: Account, seed: int, **changes: Any) -> list[str]:
    """Carry out one storm, let it come to rest, and return what does not hold."""
    world = made.fresh(seed, world=Storm, **changes)
    assert isinstance(world, Storm)
    champion = Version(package_arn="p/1", version="1", model_name="m", run="r", baseline_uri="")
    ReleasePointers(made.state).move(Pointers(champion=champion))
    world.overtaken = world.chance.choice((0.0, 0.1, 0.4))
    for _ in range(world.chance.randint(8, 30)):
        (name,) = world.chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        world.note(f"-- {name}")
        do(world, name)
        world.run(world.chance.choice(PAUSES) * world.chance.uniform(0.5, 1.5))
    world.lost = world.doubled = 0
    world.faulty = 0.0
    world.run(20 * DAY, until=lambda: not world.running())
    # What an event that was lost would have freed is the sweep's, which may have looked before.
    world.run(DAY + 7 * HOUR)
    return list(wrong(made, world))


def do(world: Storm, name: str) -> None:
    chance, alarm = world.chance, {"alarmName": NAMES.alarm("input-drift"), "state": {"value": "ALARM"}}
    if name in ("alarm", "alarms at once"):
        for number in range(chance.randint(2, 6) if name == "alarms at once" else 1):
            ask(world, alarm if number % 2 else {"alarms": [NAMES.alarm("error")]})
    elif name == "schedule":
        ask(world, {"workload": NAMES.workload, "schedule": "retrain"})
    elif name == "command":
        ask(world, {})
    elif name == "command and alarm":
        ask(world, {})
        ask(world, alarm)
    elif name == "kill training":
        if world.training:
            world.kill(world.executions[sorted(world.training)[0].rpartition(":")[2]], loses_answer=False)
    elif name in ACCIDENTS:
        own = [one for one in world.executions.values() if one.machine == "retrain"]
        world.befall(
            name,
            [one for one in own if one.status == "RUNNING"],
            [one for one in own if one.status not in ("RUNNING", "SUCCEEDED")],
        )
    elif name == "bad luck":
        world.faulty = chance.choice((0.0, 0.1, 0.3))


def ask(world: Storm, detail: Mapping[str, Any]) -> None:
    """As the rules, the schedule and people start the machine."""
    world.start({"cause": "event", "as_of": world.now(), "detail": detail})


def wrong(made: Account, world: Storm) -> Iterator[str]:
    """What does not hold."""
    if left := [one.name for one in world.running()]:
        yield f"running still: {left}"
    for lease in Leases(made.state).holdings():
        yield f"{lease.key} is held by {lease.holder}"
    if world.at_once > 1:
        yield f"{world.at_once} trainings at once"
    declared = made.workload
    for name, spend in MonthlyBudget(made.state).months().items():
        if float(spend.usd) > declared.budget.monthly_usd or len(spend.runs) * 0.01 > float(spend.usd):
            yield f"{spend.usd} USD in {name}"
    accepted = [*world.accepted.values()]
    # Neither month nor cool-down go back with an execution of earlier days that is redriven.
    latest = [*itertools.accumulate((at for at, _ in accepted), max)]
    for name, runs in Counter(map(month, latest)).items():
        if runs > declared.retraining.maximum_runs_per_month:
            yield f"{runs} retrainings in {name}"
    for before, (at, trigger) in zip(latest, accepted[1:], strict=False):
        if trigger != "command" and at - before < timedelta(days=declared.retraining.cool_down_days):
            yield f"a retraining by {trigger} within the cool-down"
