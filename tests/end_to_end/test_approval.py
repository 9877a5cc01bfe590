"""A version waits for a person: one refuses it, one approves it, who asked for it may not, and time refuses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.stages import ACT_AS
from millrace.names import WorkloadNames
from millrace.release.registry import Registry
from millrace.state.leases import Leases
from millrace.state.table import StateTable
from tests.electricity import SAMPLE, changed_electricity, drop
from tests.end_to_end.test_sweep import sweeping

pytestmark = pytest.mark.night(
    "by day sequences of accidents wait for a person, and each decision of the function is tried"
)

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
REST_S = 300.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Eight months of rows have come, and version 1 waits."""
    with changed_electricity(
        tmp_path_factory.mktemp("approval"), clock=CLOCK, changes={"rollout:\n": "rollout:\n  approval: person\n"}
    ) as cloud:
        drop(cloud, "training/known", pq.read_table(SAMPLE).slice(0, 11_500))
        yield cloud


def types(*words: str) -> tuple[int, Any]:
    """The exit status of `millrace …`, and what it printed: JSON, or its words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACT_AS, "")  # what `--as` says holds for one command
        done = CliRunner().invoke(app, list(words))
    printed = done.stdout if "--json" in words else f"{done.stdout}{done.stderr}{done.exception or ''}"
    return done.exit_code, json.loads(printed) if "--json" in words and printed else printed


def shown(cloud: LocalCloud) -> dict[str, tuple[str, str]]:
    """The status of each version and what a person has decided about it."""
    cloud.wait(timeout_s=REST_S)
    status, found = types("versions", "--json")
    assert status == 0
    return {one["version"]: (one["status"], one["decision"]) for one in found}


def decisions(cloud: LocalCloud) -> list[tuple[str, str, str]]:
    """What the audit says of people's decisions: the event, the version and by whom."""
    _, found = types("audit", "list", "--json")
    wanted = ("release.approved", "release.refused")
    return sorted(
        (one["event"], one["details"]["version"], one["details"]["by"].rpartition("/")[2])
        for one in found
        if one["event"] in wanted
    )


@contextmanager
def person(cloud: LocalCloud, name: str) -> Iterator[Any]:
    """SageMaker as this person's session of the role `leads` reaches it: the role may read and decide versions."""
    iam, sts = cloud.client("iam"), cloud.client("sts")
    arn = f"arn:aws:iam::{PLATFORM.account}:role/leads"
    if not any(role["RoleName"] == "leads" for role in iam.list_roles()["Roles"]):
        trust = {"Effect": "Allow", "Principal": {"AWS": PLATFORM.account}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName="leads", AssumeRolePolicyDocument=policy(trust))
        right = {
            "Effect": "Allow",
            "Action": ["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"],
            "Resource": NAMES.package_arn("*"),
        }
        iam.put_role_policy(RoleName="leads", PolicyName="decide", PolicyDocument=policy(right))
    keys = sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
    yield boto3.client(
        "sagemaker",
        endpoint_url=cloud.endpoint_url,
        region_name=PLATFORM.region,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_person_decides_which_version_goes_live(cloud: LocalCloud) -> None:
    # Version 1 waits. It holds no lease, no endpoint was made, and people were told.
    assert shown(cloud) == {"1": ("waits", "")}
    assert types("status", "--json")[1][0]["waits_for_approval"] == "1"
    assert Leases(StateTable(cloud.client("dynamodb"), NAMES)).find("release") is None
    assert cloud.client("sagemaker").list_endpoints()["Endpoints"] == []

    # Ann refuses it by the registry alone.
    with person(cloud, "ann") as sagemaker:
        registry = Registry(sagemaker, group=NAMES.package_group)
        registry.refuse(registry.describe(NAMES.package_arn("1")), reason="not on the new meters")
    assert shown(cloud) == {"1": ("refused", "refused by ann: not on the new meters")}

    # The operator asks for a training, in Zoe's name: its version is not approved by the operator, neither here nor in
    # the registry.
    given = json.dumps({"cause": "command", "who": f"arn:aws:iam::{PLATFORM.account}:user/zoe"})
    cloud.client("stepfunctions").start_execution(stateMachineArn=NAMES.machine_arn("train"), input=given)
    assert shown(cloud)["2"] == ("waits", "")
    status, said = types("approve", "2", "--reason", "mine")
    assert (status, "expected another person than who asked" in said) == (1, True)
    own = Registry(cloud.client("sagemaker"), group=NAMES.package_group)
    own.approve(own.describe(NAMES.package_arn("2")), reason="mine all the same")
    status, decision = shown(cloud)["2"]
    assert (status, "expected another person than who asked" in decision) == ("waits", True)
    assert own.describe(NAMES.package_arn("2")).approval == "PendingManualApproval"
    assert cloud.client("sagemaker").list_endpoints()["Endpoints"] == []

    # Ann approves it: it is live, by her.
    said = types("--as", "bosses/ann", "approve", "2", "--reason", "better on all meters", "--wait")
    assert (said[0], "Version 2 is live" in said[1]) == (0, True)
    assert shown(cloud)["2"] == ("live", "approved by ann: better on all meters")
    assert decisions(cloud) == [
        ("release.approved", "2", "ann"),
        ("release.refused", "1", "ann"),
        ("release.refused", "2", "moto"),
    ]

    # Nobody decides about version 3: after its hours the sweep refuses it, and version 2 stays.
    assert types("retrain", "--wait")[0] == 0
    assert shown(cloud)["3"] == ("waits", "")
    with sweeping(cloud):
        cloud.move_clock(cloud.now() + timedelta(hours=1))
        cloud.wait(timeout_s=REST_S)
    assert shown(cloud)["3"] == ("waits", "")
    cloud.move_clock(cloud.now() + timedelta(hours=168))
    with sweeping(cloud):
        cloud.move_clock(cloud.now() + timedelta(hours=1))
        cloud.wait(timeout_s=REST_S)
    versions = shown(cloud)
    assert (versions["3"][0], versions["2"][0]) == ("refused", "live")
    assert "nobody has approved it within 168 hours" in versions["3"][1]
