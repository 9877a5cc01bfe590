"""May this training run start: one at a time, and within the month's budget."""

from __future__ import annotations

from datetime import timedelta

import boto3
from aws_lambda_powertools import Logger

from millrace.messages.envelope import StepInput, handles
from millrace.messages.train import BudgetChecked, BudgetRefusal, ChampionModel, TrainInput
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
@handles(StepInput[TrainInput])
def handler(call: StepInput[TrainInput]) -> BudgetChecked:
    """Whether to go on, why not, the projected cost, and the champion to compare with."""
    usd = projected_usd(usages(WORKLOAD, SETTINGS.stage, is_external=call.state.external_model is not None))
    live = POINTERS.champion()
    refusal = BudgetRefusal.CHAMPION_EXISTS if call.state.reason == "first" and live else _refusal(call, usd)
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


def _refusal(call: StepInput[TrainInput], usd: float) -> BudgetRefusal | None:
    """Takes the lease first, then the money: a run that may not start must not spend."""
    as_of = call.state.as_of
    until = as_of + timedelta(hours=longest_hours(WORKLOAD))
    if not LEASES.take("train", holder=call.execution_arn, as_of=as_of, expires_at=until):
        return BudgetRefusal.BUSY
    limit = WORKLOAD.budget.monthly_usd
    reserved = BUDGET.reserve(usd, arn=call.execution_arn, as_of=as_of, monthly_usd=limit)
    return None if reserved else BudgetRefusal.BUDGET
