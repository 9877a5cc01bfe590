"""The deployer's stack: whom it trusts, what it makes, and that the packs find nothing in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_cdk.assertions import Match, Template

from millrace.errors import ConfigurationError
from millrace.infra.deployer.__main__ import deployer
from millrace.infra.deployer.pipeline import PULL
from millrace.infra.options import Options, options_of
from millrace.infra.rules.assembly import read
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
    ],
    "deploy": ["make setup", 'cdk deploy --all --concurrency 8 -c stage="$STAGE" --require-approval never'],
    "patch": ["make setup", "make bases AWS=--aws"],
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
    """The roles that CloudFormation passes have one beginning, not one name; the rest takes no resource."""
    places = [
        re.sub(r"millrace-dev-deployer/|\d", "", one.partition(": expected")[0])
        for one in findings(read(deployer_assembly))
    ]
    assert set(places) == {f"{rule}: execution (AWS::IAM::ManagedPolicy)" for rule in ("pass-role", "wildcards")}


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
