"""Who may sign versions, and who may check signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.iam.decision import Case, why_not
from localcloud.iam.policies import Request
from tests.infra.conftest import of_type

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/k"
ADMINISTRATOR = json.dumps({"Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]})
Template = dict[str, Any]


@pytest.fixture
def signing_key(templates: dict[str, dict[str, Template]]) -> dict[str, Any]:
    [key] = [one for one in of_type(templates["dev"], "AWS::KMS::Key") if "KeySpec" in one]
    return key


def refused(key: dict[str, Any], action: str, role: str) -> str | None:
    """Why a role that may use every key may not do this with the signing key."""
    principal = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    request = Request(
        action=action,
        resources=(KEY,),
        context={"aws:principalarn": (principal,), "aws:principalaccount": (ACCOUNT,)},
        principal=(principal,),
    )
    policy = json.dumps(key["KeyPolicy"])
    return why_not(Case(request=request, of_role=(ADMINISTRATOR,), of_resource=(policy,)))


@pytest.mark.parametrize("role", ["millrace-dev-electricity-registration", "millrace-dev-xray-registration"])
def test_a_registration_signs(signing_key: dict[str, Any], role: str) -> None:
    assert refused(signing_key, "kms:Sign", role) is None


@pytest.mark.parametrize(
    "role", ["administrator", "millrace-dev-electricity-release", "millrace-prod-electricity-registration"]
)
def test_nobody_else_does_whatever_his_own_policies_say(signing_key: dict[str, Any], role: str) -> None:
    assert "explicit deny in a resource-based policy" in (refused(signing_key, "kms:Sign", role) or "")
    assert refused(signing_key, "kms:Verify", role) is None
