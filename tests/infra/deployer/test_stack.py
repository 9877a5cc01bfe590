"""The deployer's stack: whom it trusts, what it makes, and that the packs find nothing in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_cdk.assertions import Match, Template

from millrace.errors import ConfigurationError
from millrace.infra.deployer.__main__ import deployer
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
from millrace.infra.deployer.pipeline import PULL
from millrace.infra.iam.resource import Statement
from millrace.infra.options import Options, options_of
from millrace.infra.rules.assembly import Stack, read, text
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE
from tests.infra.test_nag import found
from tests.infra.test_packs import identity_policies, is_accepted, parliament

ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000"
OUR_ALIAS = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/millrace-dev"}}
IDS = "octo-org@1/mill@2"
RUNS = {
    "diff": ["make setup", 'cdk diff --all --ignore-errors --method=template -c stage="$STAGE"'],
    "images": [
        "make setup",
        'cdk deploy "millrace-$STAGE-platform" -c stage="$STAGE" --require-approval never',
        'make images STAGE="$STAGE"',
        'make logs STAGE="$STAGE"',
        'cdk deploy "millrace-$STAGE-audit" -c stage="$STAGE" --require-approval never',
    ],
    "deploy": [
        "make setup",
        'cdk deploy "millrace-$STAGE-*-*" --exclusively --concurrency 6 -c stage="$STAGE" '
        '-c workloads="$WORKLOADS" --require-approval never',
    ],
    "patch": ["make setup", "make hashes", "make bases AWS=--aws"],
    "validate-model": [
        "make setup",
        '.venv/bin/millrace validate "$VERSION" --stage "$STAGE" --workload "$WORKLOAD" --json',
    ],
}
"""What the jobs that sign in call; `infra/deployer/pipeline.py` has the rights that it needs."""


def template(more: Mapping[str, object] | None = None, **github: str) -> Template:
    chosen = {**(more or {}), "github": {"repository": "octo-org/mill", **github}}
    options = options_of({"dev": chosen}, "dev")
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=options)
    return Template.from_stack(deployer(settings, []).node.find_child("millrace-dev-deployer"))  # type: ignore[arg-type]


def trust(provider: Any, subject: str) -> Any:
    condition = {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": subject}}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    }
    return {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def test_each_role_trusts_one_environment_of_one_repository() -> None:
    made = template()
    made.has_resource("AWS::IAM::OIDCProvider", {"DeletionPolicy": "RetainExceptOnCreate"})
    made.has_resource_properties(
        "AWS::IAM::OIDCProvider", {"Url": f"https://{ISSUER}", "ClientIdList": ["sts.amazonaws.com"]}
    )
    provider = {"Fn::GetAtt": [Match.string_like_regexp("GitHub"), "Arn"]}
    for environment, role in (("dev-read", "github-millrace-dev-read"), ("dev", "github-millrace-dev-deploy")):
        trusted = trust(provider, f"repo:octo-org/mill:environment:{environment}")
        made.has_resource_properties("AWS::IAM::Role", {"RoleName": role, **trusted})


def test_a_provider_of_the_account_is_adopted_and_a_repository_may_be_named_with_its_numbers() -> None:
    made = template(provider_arn=PROVIDER, repository=IDS)
    made.resource_count_is("AWS::IAM::OIDCProvider", 0)
    made.has_resource_properties("AWS::IAM::Role", trust(PROVIDER, f"repo:{IDS}:environment:dev"))


@pytest.mark.parametrize(
    ("options", "resource", "condition"),
    [
        ({}, "arn:aws:kms:eu-west-1:123456789012:key/*", {"Condition": OUR_ALIAS}),
        ({"key_arn": KEY}, KEY, {}),
    ],
)
def test_the_pipeline_that_validates_may_read_what_lies_under_the_stages_key(
    options: dict[str, str], resource: str, condition: dict[str, Any]
) -> None:
    """A key that the stage brings along has its owner's alias, if any."""
    wanted = {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [resource], **condition}
    found = template(options).find_resources("AWS::IAM::Role", {"Properties": {"RoleName": "github-millrace-dev-read"}})
    ((policy,),) = (one["Properties"]["Policies"] for one in found.values())
    statements = policy["PolicyDocument"]["Statement"]
    assert [one for one in statements if "kms:Decrypt" in one["Action"]] == [wanted]


@pytest.mark.parametrize("repository", ["mill", "octo-org/*", "octo-org/mill:ref", "octo-org@1/mill", "octo org/mill"])
def test_a_repository_that_is_none_is_refused(repository: str) -> None:
    with pytest.raises(ConfigurationError, match=r"stages.dev.github.repository"):
        options_of({"dev": {"github": {"repository": repository}}}, "dev")


def test_a_stage_without_a_repository_has_none(assemblies: dict[str, Path]) -> None:
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=Options())
    with pytest.raises(ConfigurationError, match=r"stages.dev.github: expected a repository"):
        deployer(settings, [])
    assert not [stack.name for stack in read(assemblies["dev"]) if "deployer" in stack.name]


def test_our_own_rules_find_what_only_the_account_can_bound(deployer_assembly: Path) -> None:
    """The roles that CloudFormation passes have one beginning, not one name."""
    places = [
        re.sub(r"millrace-dev-deployer/|\d", "", one.partition(": expected")[0])
        for one in findings(read(deployer_assembly))
    ]
    assert set(places) == {"pass-role: execution (AWS::IAM::ManagedPolicy)"}


def test_cdk_nag_finds_nothing(assemblies: dict[str, Path], tmp_path: Path) -> None:
    options = options_of({"dev": {"github": {"repository": "octo-org/mill"}}}, "dev")
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=options)
    assert found(deployer(settings, read(assemblies["dev"]), outdir=str(tmp_path))) == set()


def test_parliament_knows_every_action_and_its_resource(deployer_assembly: Path) -> None:
    policies = identity_policies(deployer_assembly)
    assert len(policies) > 4
    found = [
        finding
        for several in parliament(policies).values()
        for finding in several
        if finding["severity"] != "LOW" and not is_accepted(finding)
    ]
    # https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html: of every action on a key.
    known = {
        f"Unknown condition kms:ResourceAliases for action kms:{one}" for one in ("Decrypt", "GetPublicKey", "Verify")
    }
    assert {str(one["detail"]) for one in found} == known


def signed_in() -> dict[str, list[str]]:
    """By job that signs in at AWS: the calls of its scripts that may need a right there."""
    found = {}
    for path in sorted((SUITE / ".github" / "workflows").glob("*.yml")):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            if any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"]):
                lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
                found[name] = [
                    re.split(r" 2>&1| \|", line)[0]
                    for line in lines
                    if re.search(r"^(cdk|make|\S*millrace|aws)\b", line)
                ]
    return found


def test_what_the_pipelines_call_is_what_their_roles_were_made_for() -> None:
    assert signed_in() == RUNS


def test_who_deploys_a_stage_that_pulls_may_copy_the_image_that_serves() -> None:
    repository = "arn:aws:ecr:eu-west-1:111122223333:repository/millrace-test-inference"
    source = {"account": "111122223333", "stage": "test", "key_arn": KEY, "signing_key_arn": KEY}

    def pulled(found: Template) -> set[str]:
        roles = found.find_resources("AWS::IAM::Role").values()
        policies = [one["PolicyDocument"] for role in roles for one in role["Properties"]["Policies"]]
        statements = [one for policy in policies for one in policy["Statement"] if repository in one["Resource"]]
        return {action for one in statements for action in one["Action"]}

    assert pulled(template({"pulls_from": source})) == {f"ecr:{action}" for action in PULL}
    assert pulled(template()) == set()


PLATFORM = settings_for("dev", account="123456789012", region="eu-west-1").platform
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"


CHAT = "chat/url"


def given(stacks: list[Stack], options: Options | None = None) -> list[Statement]:
    return [one for several in policies(PLATFORM, stacks, options or Options()) for one in several]


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


def test_an_mlflow_gets_its_role_and_no_other_stage_passes_one_to_sagemaker() -> None:
    kind = "AWS::SageMaker::MlflowApp"

    def passed(stacks: list[Stack]) -> list[str]:
        [found] = [one.document() for one in given(stacks) if "iam:PassRole" in one.actions]
        services: list[str] = found["Condition"]["StringEquals"]["iam:PassedToService"]
        return services

    assert uncovered(of_types(kind), given(of_types(kind))) == set()
    assert "sagemaker.amazonaws.com" in passed(of_types(kind))
    assert "sagemaker.amazonaws.com" not in passed(of_types("AWS::SQS::Queue"))


def test_a_policy_is_as_large_as_iam_takes_it(assemblies: dict[str, Path]) -> None:
    found = policies(PLATFORM, read(assemblies["prod"]), Options(alarm_webhook=CHAT))
    assert [characters(one) for one in found if characters(one) > MOST_CHARACTERS] == []
    assert 1 < len(found) <= 10, "as many as a role takes"


def test_no_action_has_a_wildcard_and_iam_is_bound_to_the_stages_roles(assemblies: dict[str, Path]) -> None:
    found = given(read(assemblies["prod"]))
    assert not [action for one in found for action in one.actions if "*" in action]
    of_iam = {arn for one in found for arn in one.resources if any(action.startswith("iam:") for action in one.actions)}
    assert of_iam == {
        "arn:aws:iam::123456789012:role/millrace-dev-*",
        "arn:aws:iam::123456789012:policy/millrace-dev-*",
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
    assert uncovered(stacks, given(stacks, Options(alarm_webhook=CHAT))) == set()
    reading = "secretsmanager:GetSecretValue"  # pragma: allowlist secret
    (one,) = [
        statement for statement in given(stacks, Options(alarm_webhook=CHAT)) if reading in statement.actions
    ]  # pragma: allowlist secret
    assert [arn.partition("secret:")[2] for arn in one.resources] == [
        "events!connection/millrace-dev-webhook/*",
        "events!connection/millrace-dev-lineage/*",
        f"{CHAT}-*",
    ]


def test_another_stage_of_the_account_is_not_reached() -> None:
    """`dev2` begins as `dev` does."""
    patterns = [arn for one in resources_of(PLATFORM, ()).values() for arn in one.reasons]
    others = ["arn:aws:sqs:eu-west-1:123456789012:millrace-dev2-alarms", "arn:aws:s3:::millrace-dev2-lake-1-eu-west-1",
              "arn:aws:events:eu-west-1:123456789012:event-bus/millrace-dev2",
              "arn:aws:kms:eu-west-1:123456789012:alias/millrace-dev2",
              "arn:aws:glue:eu-west-1:123456789012:database/millrace_dev2"]  # fmt: skip
    assert not [(arn, one) for arn in others for one in patterns if fnmatchcase(arn, one)]
    assert any(fnmatchcase(others[0].replace("dev2", "dev"), one) for one in patterns)
