"""Simulates retraining policies on a workload's history, by what it declares and what its trainings cost."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from millrace.console.actions.declaration import Keys
from millrace.console.environment import Environment
from millrace.console.queries.money.month import find_cost
from millrace.errors import RunError
from millrace.names import WorkloadNames
from millrace.simulation.history import LivedHistory
from millrace.simulation.proposal import FEWEST_DECISIONS, PolicyComparison, compare
from millrace.simulation.simulation import RetrainingPolicy, Terms
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages

LENGTHS = (8, 16)
"""The lengths of the training days that are tried beside the declared one, in windows of the monitor."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """US dollars, or the currency of the declared costs."""

    error: float | None
    """None: the policy declares costs."""
    training: float


def lengths(workload: Workload) -> list[int | None]:
    """The values of `training.train_days` that are tried."""
    days = workload.monitors.window_days
    return list(dict.fromkeys((workload.training.train_days, *(days * windows for windows in LENGTHS))))


def most_usd(workload: Workload, stage: str) -> float:
    """The most that a training and its evaluation may cost."""
    return projected_usd(usages(workload, stage))


def mean_usd(environment: Environment, names: WorkloadNames, workload: Workload) -> float:
    """What a training cost in the last month with one; the most that it may cost if none was billed."""
    lines = find_cost(environment, names, workload).lines
    billed = [line.usd for line in lines if line.what == "training" and line.usd]
    return sum(billed) / len(billed) if billed else most_usd(workload, names.platform.stage)


def check_prices(workload: Workload, usd_per_error: float | None) -> None:
    """Raise RunError if neither an option nor the workload says what a wrong answer costs."""
    if usd_per_error is None and workload.prediction.costs is None:
        also = "or retraining.usd_per_error or policy.automate.costs"
        raise RunError(f"--usd-per-error: expected what a wrong answer costs, {also}, got none")


def simulate(workload: Workload, task: Task, history: LivedHistory, prices: Prices, stage: str) -> PolicyComparison:
    """The comparison. Raises RunError for a history that is too short."""
    gate = workload.gates.non_inferiority
    terms = Terms(
        usd_per_error=prices.error or 0.0,
        usd_per_training=prices.training,
        label_delay_days=math.ceil((workload.monitors.label_delay_hours or 0) / 24),
        gate=gate if gate.measure == "error" else None,
        error_is_share=task.error_is_share,
        reserved_usd=most_usd(workload, stage),
        retraining=workload.retraining,
        budget=workload.budget,
    )
    try:
        return compare(history, terms, declared_policy(workload))
    except ValueError as error:
        expected = f"{FEWEST_DECISIONS} decisions at least to choose by, and as many to judge by"
        raise RunError(f"expected {expected}, got {error}: a longer history, or fewer test days, has more") from None


def declared_policy(workload: Workload) -> RetrainingPolicy | None:
    """The declaration as a policy; None if it rests on a calibrated bound or on a schedule by the calendar."""
    retraining, monitors = workload.retraining, workload.monitors
    by_error = "error" in retraining.alarms
    rate = re.fullmatch(r"rate\((\d+) days?\)", retraining.schedule or "rate(0 days)")
    if rate is None or "input-drift" in retraining.alarms or (by_error and monitors.error_bound is None):
        return None
    return RetrainingPolicy(
        train_days=workload.training.train_days,
        error_bound=monitors.error_bound if by_error else None,
        error_windows=monitors.error_windows,
        every_days=int(rate[1]) or None,
        cool_down_days=retraining.cool_down_days,
    )


def keys_of(policy: RetrainingPolicy, step_days: int) -> Keys:
    """The policy as keys of workload.yaml."""
    by_error = policy.error_bound is not None
    watched: Keys = {
        ("monitors", "schedule"): rate_of(step_days),
        ("monitors", "error_bound"): policy.error_bound,
        ("monitors", "error_windows"): policy.error_windows,
    }
    return {
        ("training", "train_days"): policy.train_days,
        **(watched if by_error else {}),
        ("retraining", "alarms"): ["error"] if by_error else [],
        ("retraining", "schedule"): rate_of(policy.every_days) if policy.every_days else None,
        ("retraining", "cool_down_days"): policy.cool_down_days,
    }


def rate_of(days: int) -> str:
    """A schedule as EventBridge Scheduler writes it."""
    return f"rate({days} day{'s' * (days > 1)})"
