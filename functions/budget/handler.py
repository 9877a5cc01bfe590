"""May this training run start: one at a time, and within the month's budget."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from millrace.messages.envelope import ExecutionInput, StepInput
from millrace.settings.budget import BudgetSettings
from millrace.state.table import State
from millrace.workload.load import load_workload
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import longest_hours, usages

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = BudgetSettings.parse()
WORKLOAD = load_workload(Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload)
LOGGER = Logger()
STATE = State(boto3.client("dynamodb"), table=SETTINGS.names.platform.state_table, workload=SETTINGS.workload)


class Training(ExecutionInput):
    reason: str


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Whether to go on, why not, the projected cost, and the champion to compare with (null when there is none)."""
    call = StepInput[Training].model_validate(event)
    usd = projected_usd(usages(WORKLOAD, SETTINGS.stage))
    champion = STATE.champion()
    refusal = "champion_exists" if call.state.reason == "first" and champion else _objection(call, usd)
    LOGGER.info("budget", extra={"refusal": refusal, "projected_usd": usd})
    return {
        "accepted": refusal is None,
        "reason": refusal,
        "projected_usd": round(usd, 2),
        "monthly_usd": WORKLOAD.budget.monthly_usd,
        "champion": champion and {"version": champion.version, "model_data_url": champion.model_data_url},
    }


def _objection(call: StepInput[Training], usd: float) -> str | None:
    """Takes the lease first, then the money: a run that may not start must not spend."""
    as_of = call.state.as_of
    until = as_of + timedelta(hours=longest_hours(WORKLOAD))
    if not STATE.take_lease("train", holder=call.execution, as_of=as_of, expires_at=until):
        return "busy"
    limit = WORKLOAD.budget.monthly_usd
    return None if STATE.reserve_usd(usd, run=call.execution, as_of=as_of, monthly_usd=limit) else "budget"
