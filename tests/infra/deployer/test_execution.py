"""What CloudFormation may do: all that the templates need, on nothing but the stage's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from millrace.errors import ConfigurationError
from millrace.infra.deployer.execution import (
    LEFT_OUT,
    MOST_CHARACTERS,
    NEEDED_BY,
    UNUSED,
    characters,
    evaluated,
    handled,
    policies,
    resources_of,
)
from millrace.infra.iam.resource import Statement
from millrace.infra.options import Options
from millrace.infra.rules.assembly import Stack, read, text
from millrace.infra.settings import settings_for

PLATFORM = settings_for("dev", account="123456789012", region="eu-west-1").platform
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"


CHAT = "chat/url"


def given(stacks: list[Stack], options: Options | None = None, secret: str = "") -> list[Statement]:
    return [one for several in policies(PLATFORM, stacks, options or Options(), secret=secret) for one in several]


def of_types(*kinds: str) -> list[Stack]:
    return [Stack(name="one", template={"Resources": {f"R{n}": {"Type": kind} for n, kind in enumerate(kinds)}})]


def uncovered(stacks: list[Stack], statements: Iterable[Statement]) -> set[tuple[str, str]]:
    """Type and action of what a handler needs and no statement allows."""
    allowed = {action for one in statements for action in one.actions}
    kinds = {one.kind for stack in stacks for one in stack.resources()}
    needed = {(kind, action) for kind in kinds for action in handled(kind) - LEFT_OUT}
    return {(kind, one) for kind, one in needed if one not in allowed and one.partition(":")[0] not in UNUSED}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_type_of_the_templates_is_covered(assemblies: dict[str, Path], stage: str) -> None:
    stacks = read(assemblies[stage])
    assert uncovered(stacks, given(stacks)) == set()
    assert given(stacks), "and it is no empty list"


def test_all_that_can_be_declared_is_covered(other_workloads: Path) -> None:
    """Every option and every section: types, the services that get roles, and the log groups by their names."""
    stacks = read(other_workloads)
    found = given(stacks)
    assert uncovered(stacks, found) == set()
    (passing,) = [one.document() for one in found if "iam:PassRole" in one.actions]
    assert "apigateway.amazonaws.com" in passing["Condition"]["StringEquals"]["iam:PassedToService"]
    (logging,) = [one for one in found if "logs:CreateLogGroup" in one.actions]
    groups = [
        text(one.properties["LogGroupName"]) for stack in stacks for one in stack.resources("AWS::Logs::LogGroup")
    ]
    arns = [f"arn:aws:logs:eu-west-1:123456789012:log-group:{name}" for name in groups]
    assert [arn for arn in arns if not any(fnmatchcase(arn, pattern) for pattern in logging.resources)] == []


def test_a_service_of_which_nobody_has_said_anything_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="cognito-idp"):
        given(of_types("AWS::Cognito::UserPool"))


def test_a_type_without_its_rights_is_found(assemblies: dict[str, Path]) -> None:
    stacks = read(assemblies["dev"])
    without = [one for one in given(stacks) if "sqs:CreateQueue" not in one.actions]
    assert {kind for kind, _ in uncovered(stacks, without)} == {"AWS::SQS::Queue", "AWS::SQS::QueuePolicy"}


def test_what_the_intrinsic_functions_ask_for_is_covered(assemblies: dict[str, Path]) -> None:
    """The platform's network takes the region's first two zones; a stage with a network of its own asks for none."""
    zones = {"ec2:DescribeAccountAttributes", "ec2:DescribeAvailabilityZones"}
    stacks = read(assemblies["dev"])
    (statement,) = [one for one in given(stacks) if zones & set(one.actions)]
    assert zones | {"ec2:DescribeSubnets"} <= set(statement.actions)
    assert statement.resources == ("*",), "they take no resource"
    without = [Stack(name=one.name, template=json.loads(json.dumps(one.template).replace("Fn::GetAZs", "Fn::Join")))
               for one in stacks]  # fmt: skip
    assert not [one for one in given(without) if zones & set(one.actions)]


def test_every_intrinsic_function_of_the_templates_is_looked_at(assemblies: dict[str, Path]) -> None:
    for stage in ("dev", "prod"):
        assert {"Fn::GetAZs", "Fn::Join"} <= evaluated(read(assemblies[stage])) <= set(NEEDED_BY)


def test_a_type_that_is_not_there_gives_no_right() -> None:
    assert not [one for one in given(of_types("AWS::SQS::Queue")) if any("kms:" in action for action in one.actions)]


@pytest.mark.parametrize("kind", ["AWS::SageMaker::MlflowApp", "AWS::SageMaker::MlflowTrackingServer"])
def test_an_mlflow_gets_its_role_and_no_other_stage_passes_one_to_sagemaker(kind: str) -> None:
    def passed(stacks: list[Stack]) -> list[str]:
        [found] = [one.document() for one in given(stacks) if "iam:PassRole" in one.actions]
        services: list[str] = found["Condition"]["StringEquals"]["iam:PassedToService"]
        return services

    assert uncovered(of_types(kind), given(of_types(kind))) == set()
    assert "sagemaker.amazonaws.com" in passed(of_types(kind))
    assert "sagemaker.amazonaws.com" not in passed(of_types("AWS::SQS::Queue"))


def test_a_policy_is_as_large_as_iam_takes_it(assemblies: dict[str, Path]) -> None:
    found = policies(PLATFORM, read(assemblies["prod"]), Options(), secret="chat/url")
    assert [characters(one) for one in found if characters(one) > MOST_CHARACTERS] == []
    assert 1 < len(found) <= 10, "as many as a role takes"


def test_no_action_has_a_wildcard_and_iam_is_bound_to_the_stages_roles(assemblies: dict[str, Path]) -> None:
    found = given(read(assemblies["prod"]))
    assert not [action for one in found for action in one.actions if "*" in action]
    of_iam = {arn for one in found for arn in one.resources if any(action.startswith("iam:") for action in one.actions)}
    assert of_iam == {
        "arn:aws:iam::123456789012:role/millrace-dev-*",
        "arn:aws:iam::123456789012:role/aws-service-role/*",
    }


def test_it_can_not_widen_its_own_rights_nor_the_pipelines(deployer_assembly: Path) -> None:
    """By no pattern does it reach the roles and policies that the deployer's stack made."""
    (stack,) = read(deployer_assembly)
    arns = [f"arn:aws:iam::123456789012:role/{one.properties['RoleName']}" for one in stack.resources("AWS::IAM::Role")]
    arns += ["arn:aws:iam::123456789012:role/cdk-hnb659fds-cfn-exec-role-123456789012-eu-west-1"]
    arns += [
        f"arn:aws:iam::123456789012:policy/{one.properties['ManagedPolicyName']}"
        for one in stack.resources("AWS::IAM::ManagedPolicy")
    ]
    assert len(arns) > 4
    documents = [one.properties["PolicyDocument"] for one in stack.resources("AWS::IAM::ManagedPolicy")]
    statements = [one for document in documents for one in document["Statement"]]
    patterns = {one for each in statements if "iam:" in json.dumps(each["Action"]) for one in each["Resource"]}
    assert not [(arn, pattern) for arn in arns for pattern in patterns if fnmatchcase(arn, pattern)]
    assert any(fnmatchcase("arn:aws:iam::123456789012:role/millrace-dev-audit_chain", one) for one in patterns)


def test_with_a_boundary_no_role_is_made_without_it() -> None:
    stacks = of_types("AWS::IAM::Role")
    bound = {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    made = [one for one in given(stacks, Options(permissions_boundary=BOUNDARY)) if "iam:CreateRole" in one.actions]
    assert [one.conditions for one in made] == [bound]
    assert {"iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"} <= set(made[0].actions)
    assert [one.conditions for one in given(stacks) if "iam:CreateRole" in one.actions] == [{}]


def test_the_webhooks_secret_may_be_read_and_no_other() -> None:
    stacks = of_types("AWS::Events::Connection", "AWS::Events::ApiDestination")
    assert uncovered(stacks, given(stacks, secret=CHAT)) == set()
    reading = "secretsmanager:GetSecretValue"  # pragma: allowlist secret
    (one,) = [
        statement for statement in given(stacks, secret=CHAT) if reading in statement.actions
    ]  # pragma: allowlist secret
    assert [arn.partition("secret:")[2] for arn in one.resources] == [
        "events!connection/millrace-dev-webhook/*",
        f"{CHAT}-*",
    ]


def test_another_stage_of_the_account_is_not_reached() -> None:
    """`dev2` begins as `dev` does."""
    patterns = [arn for one in resources_of(PLATFORM, secret="").values() for arn in one.reasons]
    others = ["arn:aws:sqs:eu-west-1:123456789012:millrace-dev2-alarms", "arn:aws:s3:::millrace-dev2-lake-1-eu-west-1",
              "arn:aws:events:eu-west-1:123456789012:event-bus/millrace-dev2",
              "arn:aws:kms:eu-west-1:123456789012:alias/millrace-dev2",
              "arn:aws:glue:eu-west-1:123456789012:database/millrace_dev2"]  # fmt: skip
    assert not [(arn, one) for arn in others for one in patterns if fnmatchcase(arn, one)]
    assert any(fnmatchcase(others[0].replace("dev2", "dev"), one) for one in patterns)
