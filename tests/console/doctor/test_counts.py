"""Roles that an account has left, for a stage that is new and for one that is there already."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.console.doctor.quotas import (
    ROLES_OF_STAGE,
    ROLES_OF_WORKLOAD,
    check_quotas,
    count_roles,
    declared_aside,
)
from millrace.console.environment import Environment
from tests.console.conftest import DEV
from tests.console.doctor.test_quotas import ServiceQuotas

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ROLES = 1000


class Summary:
    """Moto's answers but for the quota of roles and their number."""

    def __init__(self, iam: Any, roles: int) -> None:
        self._iam, self._roles = iam, roles

    def get_account_summary(self) -> dict[str, Any]:
        return {"SummaryMap": {"RolesQuota": ROLES, "Roles": self._roles}}

    def get_paginator(self, operation: str) -> Any:
        return self._iam.get_paginator(operation)


pytestmark = pytest.mark.usefixtures("account")


def environment(*, roles: int = 0) -> Environment:
    def client(service: str) -> Any:
        made = boto3.client(service, "eu-west-1")
        return Summary(made, roles) if service == "iam" else made

    return Environment(platform=DEV, client=client)


def test_room_for_a_workloads_roles_is_enough_and_one_less_is_not() -> None:
    needed = ROLES_OF_STAGE + ROLES_OF_WORKLOAD
    for roles, verdict in ((ROLES - needed, "ok"), (ROLES - needed + 1, "missing")):
        (check,) = count_roles(environment(roles=roles), 1)
        assert (check.needed, check.verdict) == (f"{needed} free", verdict)
        asked = f"--quota-code L-FE177D64 --desired-value {ROLES + 1} --region us-east-1"
        assert check.advice.endswith(asked) is (verdict == "missing")


def test_the_stages_own_roles_do_not_count_against_it() -> None:
    boto3.client("iam").create_role(RoleName="millrace-dev-audit_chain", AssumeRolePolicyDocument=TRUST)
    boto3.client("iam").create_role(RoleName="millrace-dev2-audit_chain", AssumeRolePolicyDocument=TRUST)
    (check,) = count_roles(environment(roles=ROLES), 1)
    assert check.found == "1 free"


def test_forty_nine_workloads_fit_into_the_quota_of_every_account() -> None:
    assert ROLES_OF_STAGE + 49 * ROLES_OF_WORKLOAD <= ROLES


@pytest.mark.parametrize(("value", "verdict"), [(10.0, "missing"), (101.0, "missing"), (102.0, "ok")])
def test_functions_that_are_kept_started_leave_a_hundred_to_the_others(value: float, verdict: str) -> None:
    account = ServiceQuotas({"Concurrent executions": 10.0}, {"Concurrent executions": value})
    (check,) = check_quotas(account, [], aside=2)
    assert (check.verdict, check.needed) == (verdict, "102")


def test_how_many_are_set_aside_is_read_where_the_templates_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    assert declared_aside("dev") == 0
    stages = {
        "dev": {"prediction_provisioned": 2},
        "live": {"prediction_provisioned": 2, "prediction_reserved": 30},
    }
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"stages": stages}}))
    assert [declared_aside(stage) for stage in ("dev", "live", "other")] == [2, 30, 0]
