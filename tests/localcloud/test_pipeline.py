"""The pipeline's own role deploys every option of a stage and every section of a workload, and is denied nothing."""

from __future__ import annotations

import json

import pytest

from localcloud.deploy import deploy
from localcloud.kernel.cloud import ACCOUNT, REGION
from millrace.infra.deployer.execution import policies
from millrace.infra.iam.resource import policy
from millrace.infra.options import options_of
from millrace.infra.rules.assembly import read
from millrace.infra.settings import settings_for
from tests.infra.conftest import EVERY_OPTION, every_section, synthesized
from tests.localcloud.cdk_account import account_below, lighten
from tests.localcloud.control import control
from tests.localcloud.resources import make_role

pytestmark = pytest.mark.night("by day its policies are compared with what CloudFormation's handlers need")


def test_the_pipelines_role_deploys_all_that_can_be_declared(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("pipeline")
    options = options_of({"local": {**EVERY_OPTION, "prediction_provisioned": 0, "bulk": None}}, "local")
    lighten(synthesized("local", every_section(tmp_path_factory), folder / "whole", options), folder / "light")
    stacks = read(folder / "light")
    platform = settings_for("local", account=ACCOUNT, region=REGION, options=options).platform
    with account_below(folder) as account:
        iam = account.client("iam")
        arn = make_role(iam, "execution", "cloudformation")
        for number, statements in enumerate(policies(platform, stacks, options)):
            text = json.dumps(policy([one.document() for one in statements]))
            own = iam.create_policy(PolicyName=f"execution-{number}", PolicyDocument=text)
            iam.attach_role_policy(RoleName="execution", PolicyArn=own["Policy"]["Arn"])
        deployed = deploy(account.endpoint_url, folder / "light", secret=account.secret, role_arn=arn)
        assert {one.status for one in deployed} == {"CREATE_COMPLETE"}
        assert len(deployed) == len(stacks)
        assert control(account.endpoint_url, "denials", secret=account.secret) == []
