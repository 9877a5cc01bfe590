"""What one stage shares with a stage of another account, and what that stage may do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from localcloud.iam.decision import Case, why_not
from localcloud.iam.policies import Request
from millrace.errors import ConfigurationError
from millrace.infra.app import Millrace, build
from millrace.infra.options import options_of
from millrace.infra.rules.assembly import read
from millrace.infra.settings import settings_for
from tests.infra.conftest import ELECTRICITY

DEV, PROD = "111122223333", "123456789012"
"""PROD is the account of the local cloud: the deciding code takes calls to be made from there."""
KEYS = [f"arn:aws:kms:eu-west-1:{DEV}:key/{number}f1e2d3c-0000-4000-8000-000000000000" for number in (0, 1)]
STAGES = {
    "dev": {
        "released_to": [{"account": PROD, "stage": "prod"}],
        "partners": {PROD: {"drops": ["electricity/labels"]}},
    },
    "prod": {"pulls_from": {"account": DEV, "stage": "dev", "key_arn": KEYS[0], "signing_key_arn": KEYS[1]}},
}
PULL = f"arn:aws:iam::{PROD}:role/millrace-prod-electricity-pull"
RUNS = f"arn:aws:s3:::millrace-dev-artefacts-{DEV}-eu-west-1/electricity/runs/2f4c/model.sig"
VERSION = f"arn:aws:sagemaker:eu-west-1:{DEV}:model-package/millrace-dev-electricity/1"
EVERYTHING = json.dumps({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
BY_S3 = {"kms:viaservice": ("s3.eu-west-1.amazonaws.com",)}


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The assemblies of both stages."""
    folders = {}
    for stage, account in (("dev", DEV), ("prod", PROD)):
        settings = settings_for(stage, account=account, region="eu-west-1", options=options_of(STAGES, stage))
        folders[stage] = tmp_path_factory.mktemp(stage)
        build(settings, workloads=[ELECTRICITY], outdir=str(folders[stage])).synth()
    return folders


@pytest.fixture(scope="module")
def policies(sharing: dict[str, Path]) -> dict[str, str]:
    """The policies of dev's resources and of the role that pulls, by what they are of."""
    found = {}
    for one in resources(sharing["dev"]):
        if one.kind == "AWS::KMS::Key":
            found["signing key" if "KeySpec" in one.properties else "key"] = one.properties["KeyPolicy"]
        elif one.kind == "AWS::SageMaker::ModelPackageGroup":
            found["versions"] = one.properties["ModelPackageGroupPolicy"]
        elif one.kind == "AWS::S3::BucketPolicy" and one.logical_id.startswith(("artefacts", "landing")):
            found["bucket" if one.logical_id.startswith("art") else "landing"] = one.properties["PolicyDocument"]
    [role] = [
        one.properties["Policies"][0]["PolicyDocument"]
        for one in resources(sharing["prod"])
        if one.properties.get("RoleName") == PULL.rpartition("/")[2]
    ]
    return {name: json.dumps(document) for name, document in {**found, "pull": role}.items()}


def resources(assembly: Path) -> Iterator[Any]:
    for stack in read(assembly):
        yield from stack.resources()


CALLS = [
    ("versions", "sagemaker:DescribeModelPackage", VERSION, {}),
    ("bucket", "s3:GetObject", RUNS, {}),
    ("bucket", "s3:ListBucket", RUNS.partition("/")[0], {"s3:prefix": ("electricity/runs/2f4c/model.sig",)}),
    ("key", "kms:Decrypt", KEYS[0], BY_S3),
    ("signing key", "kms:Verify", KEYS[1], {}),
]


def decided(policies: dict[str, str], of: str, request: Request, role: str = PULL, own: str = "") -> str | None:
    """Why the role may not do this in the other account; `own` replaces its policy."""
    context = {"kms:viaservice": (), "aws:securetransport": ("true",), "aws:principalarn": (role,), **request.context}
    asked = Request(action=request.action, resources=request.resources, context=context, principal=(role,))
    case = Case(request=asked, of_role=(own or policies["pull"],), of_resource=(shared(policies[of]),), owner=DEV)
    return why_not(case)


def shared(document: str) -> str:
    """The statements of the policy that hold no reference of its template."""
    statements = [one for one in json.loads(document)["Statement"] if "Fn::" not in json.dumps(one)]
    return json.dumps({"Statement": statements})


DROP = f"arn:aws:s3:::millrace-dev-landing-{DEV}-eu-west-1/electricity/labels/{PROD}/late.csv"


def test_a_partner_puts_files_below_its_own_number_and_does_nothing_else(policies: dict[str, str]) -> None:
    def may(of: str, action: str, resource: str, **context: tuple[str, ...]) -> bool:
        request = Request(action=action, resources=(resource,), context=context)
        return decided(policies, of, request, PULL.replace("-pull", "-shop"), EVERYTHING) is None

    of_bucket = {"kms:encryptioncontext:aws:s3:arn": (DROP.partition("/")[0],)}
    assert may("key", "kms:GenerateDataKey", KEYS[0], **BY_S3, **of_bucket)
    assert not any(may("key", "kms:GenerateDataKey", KEYS[0], **context) for context in (BY_S3, of_bucket))
    assert not any(may("landing", f"s3:{verb}", DROP) for verb in ("GetObject", "DeleteObject", "PutObjectAcl"))


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"partners": {PROD: {"drops": ["electricty/labels"]}}}, "partners.*drops.*did you mean 'electricity'"),
        ({"partners": {PROD: {"drops": ["electricity/lables"]}}}, "partners.*drops.*<workload>/<feed>"),
        ({"partners": {PROD: {"calls": ["electricity"]}}}, "calls: expected the option `api`"),
        ({"partners": {DEV: {"drops": ["electricity/labels"]}}}, "expected another account"),
        ({"partners": {"prod": {}}}, "partners.prod"),
        ({"api": {"private": ["vpc-0a1b2c3d"]}}, "private.*the id of a VPC endpoint"),
    ],
)
def test_a_partner_of_what_is_not_there_is_refused(stage: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Millrace(cdk.App(), "refused", stage="dev", account=DEV, region="eu-west-1", options=stage)


@pytest.mark.parametrize(("of", "action", "resource", "context"), CALLS)
def test_the_role_that_pulls_may_read_and_no_other(
    policies: dict[str, str], of: str, action: str, resource: str, context: dict[str, tuple[str, ...]]
) -> None:
    request = Request(action=action, resources=(resource,), context=context)
    by_resource = "because no resource-based policy allows the action"
    assert decided(policies, of, request) is None
    other = PULL.replace("-pull", "-snapshot")
    assert decided(policies, of, request, other, EVERYTHING) == by_resource
    assert decided(policies, of, request, PULL.replace("-prod-", "-test-"), EVERYTHING) == by_resource
    assert "no identity-based policy" in (decided(policies, of, request, own='{"Statement": []}') or "")


@pytest.mark.parametrize(
    ("of", "action", "resource"),
    [
        ("bucket", "s3:PutObject", RUNS),
        ("bucket", "s3:GetObject", RUNS.replace("/runs/", "/external/")),
        ("key", "kms:Decrypt", KEYS[0]),
        ("key", "kms:GenerateDataKey", KEYS[0]),
        ("signing key", "kms:Sign", KEYS[1]),
        ("versions", "sagemaker:UpdateModelPackage", VERSION),
    ],
)
def test_nothing_is_written_signed_or_read_beside_the_runs(
    policies: dict[str, str], of: str, action: str, resource: str
) -> None:
    assert decided(policies, of, Request(action=action, resources=(resource,)), own=EVERYTHING)
