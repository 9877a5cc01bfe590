"""Decides whether a training run may start.

One training runs at a time, none runs beside the release of a first version, and the month's budget must have room."""

from __future__ import annotations

from datetime import datetime, timedelta

from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import StepInput
from millrace.messages.train import BudgetChecked, BudgetRefusal, ChampionModel, PinnedState
from millrace.settings.environment import Environment
from millrace.state.budget import MonthlyBudget
from millrace.state.pointers import Version
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import longest_hours, usages

ROOM = WorkloadRoom(Environment.parse(), __name__)
BUDGET = MonthlyBudget(ROOM.state)


@ROOM.handles(StepInput[PinnedState])
def handler(call: StepInput[PinnedState]) -> BudgetChecked:
    """Whether the run may start, or why not; its projected cost; and the champion that its model is compared with."""
    is_external, is_pulled = call.state.external_model is not None, bool(call.state.pulled)
    usd = projected_usd(usages(ROOM.workload, ROOM.settings.stage, is_external=is_external, is_pulled=is_pulled))
    refusal, live = _decide(call, usd)
    ROOM.logger.info("budget", extra={"refusal": refusal, "projected_usd": usd})
    return BudgetChecked(
        accepted=refusal is None,
        reason=refusal,
        projected_usd=round(usd, 2),
        monthly_usd=ROOM.workload.budget.monthly_usd,
        champion=ChampionModel(**{name: getattr(live, name) for name in ChampionModel.model_fields}) if live else None,
    )


def _decide(call: StepInput[PinnedState], usd: float) -> tuple[BudgetRefusal | None, Version | None]:
    """Why the run may not start, None if it may; and the live version.

    It takes the lease first and reserves the money last, so that a run that may not start reserves nothing."""
    as_of, live = call.state.as_of, ROOM.pointers.champion()
    if call.state.snapshot.answer.corrections.is_held:
        return BudgetRefusal.CORRECTIONS, live
    if _is_late(call.state, live):
        return BudgetRefusal.CHAMPION_EXISTS, live
    # `as_of` may be days old: a lease that ended before the training does would let a second one begin beside it.
    now = max(as_of, call.state.started or as_of)
    until = now + timedelta(hours=longest_hours(ROOM.workload))
    if not ROOM.leases.take("train", holder=call.execution_arn, as_of=now, expires_at=until):
        return BudgetRefusal.BUSY, live
    # A first version goes through these in order: the lease `train`, the lease `first`, the lease `release`, the
    # pointers. It has the next before it lets go of the one before. So whoever looks in the same order finds it, even
    # if it moves meanwhile. That is why the champion is read once more, after the leases.
    is_on_its_way = _is_held("first", as_of) or _is_held("release", as_of)
    live = ROOM.pointers.champion()
    if _is_late(call.state, live):
        return BudgetRefusal.CHAMPION_EXISTS, live
    if live is None and is_on_its_way:
        return BudgetRefusal.RELEASE, live
    reserved = BUDGET.reserve(usd, arn=call.execution_arn, as_of=as_of, monthly_usd=ROOM.workload.budget.monthly_usd)
    return None if reserved else BudgetRefusal.BUDGET, live


def _is_late(state: PinnedState, live: Version | None) -> bool:
    """Whether a version is live although the run began without one, as a first training or with the gate `baseline`."""
    return live is not None and (state.reason == "first" or state.snapshot.answer.gate == "baseline")


def _is_held(name: str, as_of: datetime) -> bool:
    """Whether a version or its release holds the lease. A function that tidies for a moment does not count."""
    lease = ROOM.leases.find(name)
    return lease is not None and lease.expires_at > as_of and lease.holder.startswith("arn:")
