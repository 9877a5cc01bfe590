"""A release begins: the lease, the package, and what stands already under the two endpoint names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.opening.asked import Opening, answer
from functions.opening.endpoints import standing
from millrace.errors import ArtefactError
from millrace.invocation import Invocation
from millrace.registry import Registry
from millrace.release import LEASE_DAYS, outcome_of
from millrace.settings.opening import OpeningSettings
from millrace.state import State

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = OpeningSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
SAGEMAKER = boto3.client("sagemaker")
STATE = State(boto3.client("dynamodb"), table=NAMES.platform.state_table, workload=SETTINGS.workload)
REGISTRY = Registry(SAGEMAKER, group=NAMES.package_group)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The outcome (`open`, `busy`: come again, `done`: is or was live), the package, and what stands."""
    call = Invocation[Opening].model_validate(event)
    package = REGISTRY.describe(call.state.detail.package_arn)
    if f"/{NAMES.package_group}/" not in package.arn:
        raise ArtefactError(f"{package.arn}: expected a package of {NAMES.package_group}")
    pointers, as_of = STATE.pointers(), call.state.as_of
    until = as_of + timedelta(days=LEASE_DAYS)
    leased = STATE.take_lease("release", holder=call.execution, as_of=as_of, expires_at=until)
    live, challenger = (standing(SAGEMAKER, name) for name in (NAMES.endpoint, NAMES.challenger))
    ready = leased and "changing" not in (live, challenger)
    outcome = outcome_of(pointers, package.version, ready=ready)
    return answer(package, pointers, outcome=outcome, live=live, challenger=challenger)
