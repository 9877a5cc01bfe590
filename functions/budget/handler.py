"""May this training run start: one at a time, none beside a first release, and within the month's budget."""

from __future__ import annotations

from datetime import datetime, timedelta

import boto3
from aws_lambda_powertools import Logger

from millrace.messages.envelope import StepInput, handles
from millrace.messages.train import BudgetChecked, BudgetRefusal, ChampionModel, PinnedState
from millrace.settings.environment import Environment
from millrace.state.budget import MonthlyBudget
from millrace.state.leases import Leases
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import longest_hours, usages

SETTINGS = Environment.parse()
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
STATE = StateTable(boto3.client("dynamodb"), SETTINGS.names)
POINTERS, LEASES, BUDGET = ReleasePointers(STATE), Leases(STATE), MonthlyBudget(STATE)


@LOGGER.inject_lambda_context
@handles(StepInput[PinnedState])
def handler(call: StepInput[PinnedState]) -> BudgetChecked:
    """Whether to go on, why not, the projected cost, and the champion to compare with."""
    usd = projected_usd(usages(WORKLOAD, SETTINGS.stage, is_external=call.state.external_model is not None))
    refusal, live = _decide(call, usd)
    LOGGER.info("budget", extra={"refusal": refusal, "projected_usd": usd})
    return BudgetChecked(
        accepted=refusal is None,
        reason=refusal,
        projected_usd=round(usd, 2),
        monthly_usd=WORKLOAD.budget.monthly_usd,
        champion=champion_of(live) if live else None,
    )


def champion_of(live: Version) -> ChampionModel:
    return ChampionModel(version=live.version, model_data_url=live.model_data_url, model_digest=live.model_digest)


def _decide(call: StepInput[PinnedState], usd: float) -> tuple[BudgetRefusal | None, Version | None]:
    """Why it may not start, and who is live. Takes the lease, then the money: who may not start must not spend."""
    as_of, live = call.state.as_of, POINTERS.champion()
    if _is_late(call.state, live):
        return BudgetRefusal.CHAMPION_EXISTS, live
    until = as_of + timedelta(hours=longest_hours(WORKLOAD))
    if not LEASES.take("train", holder=call.execution_arn, as_of=as_of, expires_at=until):
        return BudgetRefusal.BUSY, live
    # A first version goes from the lease `train` to `first`, to `release`, to the pointers, and has the next before it
    # lets go of the one before. Looked for in this order it is found, wherever it is and however it moves meanwhile.
    is_on_its_way = _is_held("first", as_of) or _is_held("release", as_of)
    live = POINTERS.champion()
    if _is_late(call.state, live):
        return BudgetRefusal.CHAMPION_EXISTS, live
    if live is None and is_on_its_way:
        return BudgetRefusal.RELEASE, live
    limit = WORKLOAD.budget.monthly_usd
    reserved = BUDGET.reserve(usd, arn=call.execution_arn, as_of=as_of, monthly_usd=limit)
    return None if reserved else BudgetRefusal.BUDGET, live


def _is_late(state: PinnedState, live: Version | None) -> bool:
    """Whether a version is live that the run does not reckon with."""
    return live is not None and (state.reason == "first" or state.snapshot.answer.gate == "baseline")


def _is_held(name: str, as_of: datetime) -> bool:
    """By a version or its release, not by a function that tidies for a moment."""
    lease = LEASES.find(name)
    return lease is not None and lease.expires_at > as_of and lease.holder.startswith("arn:")
