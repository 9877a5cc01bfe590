"""Two workloads deployed side by side: neither's roles reach what is the other's.

What is a workload's is taken from its own roles: every permission that they hold, as the call that they would make.
Each such call is allowed to the role itself, and refused to every role of the other workload, but for a few listed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy import deploy
from localcloud.iam.policies import Request, verdict
from localcloud.kernel.cloud import Cloud
from millrace.errors import ConfigurationError
from millrace.infra.app import build
from millrace.infra.settings import settings_for
from millrace.names import Platform, WorkloadNames
from millrace.workload.load import SUITE
from tests.end_to_end.conftest import deployed_policies
from tests.localcloud.iam.grants import grants

ACCOUNT, REGION = "123456789012", "eu-west-1"
PLATFORM = Platform(stage="local", account=ACCOUNT, region=REGION)
ONE, OTHER = "electricity", "waterworks"
BOTH_WAYS = [(ONE, OTHER), (OTHER, ONE)]

SHARED = {
    "application-autoscaling:* on scalable-target/*": "a target is named by an id; no condition knows what it scales",
    "application-autoscaling:DescribeScalableTargets on *": "the list takes no resource",
    "cloudwatch:DescribeAlarms on *": "by prefix it takes no resource, and SageMaker looks at all alarms",
    "cloudtrail:LookupEvents on *": "it takes no resource: the starts of all executions of the account",
    "cloudwatch:GetMetricStatistics on *": "it takes no resource",
    "cloudwatch:PutMetricData on *": "it takes no resource; the namespace is a condition, not the dimension",
    "ec2:* on *": "network interfaces have no name before a job has them; all jobs stand in the platform's network",
    "ecr:* on *": "the token takes no resource, and the images are the platform's",
    "events:* on rule/StepFunctionsGetEventsFor*": "Step Functions has one rule for each kind of job and account",
    "events:ListRuleNamesByTarget on *": "the list takes no resource",
    "events:PutEvents on event-bus/*": "the bus is the platform's; conditions know source and type, not the detail",
    "glue:* on catalog": "every call on a table of the workload's own asks for the catalogue too",
    "glue:* on database/*": "every call on a table of the workload's own asks for the database too",
    "iam:CreateServiceLinkedRole on role/aws-service-role/*": "Auto Scaling has one role for each account",
    "kms:* on key/*": "one key for each environment; what lies under it is reached through its service only",
    "sqs:SendMessage on *-events-dead": "one queue for what no rule could deliver, of all workloads; no role reads it",
    "lambda:ListEventSourceMappings on *": "the list takes no resource",
    "logs:*Deliver* on *": "log deliveries have no ARN",
    "logs:*ResourcePolic* on *": "of the account, without an ARN",
    "logs:DescribeLogGroups on *": "the list takes no resource",
    "logs:* on log-group:/aws/sagemaker/*Jobs*": "one group for each kind of job and account; none may read its events",
    "sagemaker:List* on *": "the lists take no resource, nor does Step Functions name one when it asks for tags",
    "scheduler:ListSchedules on *": "the list takes no resource",
    "xray:* on *": "segments have no ARN",
}
"""What AWS cannot separate, or what is the platform's: action and resource as patterns, and why."""


@dataclass(frozen=True, kw_only=True)
class Own:
    """A call that a role of a workload may make, on what is the workload's."""

    role: str
    request: Request

    @property
    def label(self) -> str:
        arn = self.request.resources[0]
        short = arn.split(":", 5)[5] if arn.startswith("arn:") and not arn.startswith("arn:aws:s3") else arn
        return f"{self.request.action} on {short}"


def twin(folder: Path) -> Path:
    """A copy of the workload under another name."""
    made = folder / OTHER
    shutil.copytree(SUITE / "workloads" / ONE, made, ignore=shutil.ignore_patterns("sample", "*.md"))
    for path in made.glob("*.yaml"):
        path.write_text(re.sub(rf"^(name|id): (millrace-)?{ONE}$", rf"\1: \2{OTHER}", path.read_text(), flags=re.M))
    return made


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("side-by-side")
    settings = settings_for("local", account=ACCOUNT, region=REGION)
    workloads = [SUITE / "workloads" / ONE, twin(folder)]
    build(settings, workloads=workloads, outdir=str(folder / "out")).synth()
    return folder / "out"


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, assembly: Path) -> Cloud:
    stacks = deploy(cloud.endpoint_url, assembly)
    assert {f"millrace-local-{name}-ingestion" for name in (ONE, OTHER)} <= {stack.name for stack in stacks}
    return cloud


@pytest.fixture(scope="module")
def policies(deployed: Cloud) -> dict[str, dict[str, Any]]:
    """The policy of every role, by name."""
    return deployed_policies(deployed)


def of(workload: str, policies: Mapping[str, Any]) -> list[str]:
    prefix = WorkloadNames(platform=PLATFORM, workload=workload).prefix
    return [role for role in policies if role.startswith(f"{prefix}-")]


def own_calls(role: str, policy: Mapping[str, Any]) -> Iterator[Own]:
    """For each action on each resource the call that meets the statement, with its conditions."""
    for grant in grants(policy):
        statement = policy["Statement"][grant.statement]
        context = {
            key.lower(): (_first(value),)
            for keys in statement.get("Condition", {}).values()
            for key, value in keys.items()
        }
        for key in ("dynamodb:leadingkeys", "s3:prefix", "cloudwatch:namespace", "iam:passedtoservice",
                    "kms:grantisforawsresource", "iam:awsservicename", "lambda:functionarn"):  # fmt: skip
            context.setdefault(key, ())
        resource = grant.resource if grant.resource == "*" else grant.resource.replace("*", "1")
        request = Request(action=grant.action, resources=(resource,), context=context, principal=(role,))
        yield Own(role=role, request=request)


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value).replace("*", "1")


def may(policy: Mapping[str, Any], request: Request) -> bool:
    return verdict([json.dumps(policy)], request) == "Allow"


def is_shared(label: str) -> str | None:
    return next((pattern for pattern in SHARED if fnmatchcase(label, pattern)), None)


def reached(policies: Mapping[str, Any], mine: str, theirs: str) -> dict[str, set[str]]:
    """The calls of roles of `theirs` that roles of `mine` may make too, with these roles."""
    texts = {role: json.dumps(policies[role]) for role in of(mine, policies)}
    found: dict[str, set[str]] = {}
    for role in of(theirs, policies):
        for own in own_calls(role, policies[role]):
            found.setdefault(own.label, set()).update(
                other for other, text in texts.items() if verdict([text], own.request) == "Allow"
            )
    return {label: roles for label, roles in found.items() if roles}


def test_every_role_may_make_its_own_calls(policies: dict[str, dict[str, Any]]) -> None:
    """The control: what is tried with the other's roles below is what a role is allowed itself."""
    for workload in (ONE, OTHER):
        assert len(of(workload, policies)) == 20
        calls = [own for role in of(workload, policies) for own in own_calls(role, policies[role])]
        assert len(calls) > 500
        assert [f"{own.role}: {own.label}" for own in calls if not may(policies[own.role], own.request)] == []


@pytest.mark.parametrize(("mine", "theirs"), BOTH_WAYS)
def test_no_role_may_make_a_call_of_the_other_workload(
    policies: dict[str, dict[str, Any]], mine: str, theirs: str
) -> None:
    """Every role of the one against everything that the other's roles may do; what is shared is listed with why."""
    both = reached(policies, mine, theirs)
    assert {label: sorted(roles) for label, roles in both.items() if not is_shared(label)} == {}
    assert {pattern for label in both if (pattern := is_shared(label))} == set(SHARED)


def test_names_that_begin_alike_are_refused(tmp_path: Path) -> None:
    """`electricity_v2` would have the models of `electricity`, by the beginnings of their names."""
    near = twin(tmp_path).rename(tmp_path / f"{ONE}_v2")
    for path in near.glob("*.yaml"):
        path.write_text(path.read_text().replace(OTHER, near.name))
    settings = settings_for("local", account=ACCOUNT, region=REGION)
    folders = [SUITE / "workloads" / ONE, near]
    with pytest.raises(
        ConfigurationError, match=f"name: expected .* begin with {ONE}_, .* came {near.name}|{near.name}"
    ):
        build(settings, workloads=folders, outdir=str(tmp_path / "out"))
