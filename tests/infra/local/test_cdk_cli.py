"""AWS's own command line deploys into the local cloud, and destroys: the assets as zips, not by reference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.constructs.statements import policy
from infra.local.cloud import ACCOUNT, REGION

ROOT = Path(__file__).resolve().parents[3]
CLI = ROOT / "build" / "node" / "node_modules" / ".bin" / "cdk"
STACKS = ("millrace-local-platform", "millrace-local-electricity-serving")
BOOTSTRAP_ROLES = ("deploy", "file-publishing", "cfn-exec", "lookup", "image-publishing")


@dataclass(frozen=True, kw_only=True)
class Account:
    """A cloud of its own with what `cdk bootstrap` leaves behind."""

    endpoint_url: str
    folder: Path

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        return boto3.client(service, endpoint_url=self.endpoint_url, region_name=REGION, **keys)

    def bootstrap(self) -> None:
        self.client("s3").create_bucket(
            Bucket=f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}",
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        self.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        trusted = {"AWS": f"arn:aws:iam::{ACCOUNT}:root", "Service": "cloudformation.amazonaws.com"}
        trust = policy([{"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}])
        rights = policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        for role in BOOTSTRAP_ROLES:
            name = f"cdk-hnb659fds-{role}-role-{ACCOUNT}-{REGION}"
            self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
            self.client("iam").put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(rights))

    def cdk(self, *words: str) -> None:
        """Run the command line as in an activated environment; its folder is the repository's root."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "MILLRACE_BUILD": str(self.folder),
        }
        done = subprocess.run([CLI, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    cloud = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "--workspace", str(folder / "local")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with cloud:
        try:
            assert cloud.stdout is not None
            made = Account(endpoint_url=json.loads(cloud.stdout.readline())["endpoint_url"], folder=folder)
            made.bootstrap()
            yield made
        finally:
            cloud.terminate()


def test_deployed_by_the_command_line_a_function_answers(account: Account) -> None:
    context = ["-c", "stage=local", "-c", f"account={ACCOUNT}", "-c", f"region={REGION}"]
    words = ["--require-approval", "never", "--method", "direct", "--output", str(account.folder / "assembly")]
    account.cdk("deploy", STACKS[1], *words, *context)
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackName"]: stack["StackStatus"] for stack in stacks} == dict.fromkeys(STACKS, "CREATE_COMPLETE")
    answer = account.client("lambda").invoke(
        FunctionName="millrace-local-electricity-prediction", Payload=json.dumps({"rows": []})
    )
    assert json.load(answer["Payload"])["expected"] == "1 to 1000 rows"


def test_destroyed_by_the_command_line_nothing_is_left(account: Account) -> None:
    assert account.client("lambda").list_functions()["Functions"], "deployed by the test before"
    account.cdk("destroy", *STACKS, "--force", "--app", str(account.folder / "assembly"))
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []
    assert account.client("lambda").list_functions()["Functions"] == []
    assert [one["Name"] for one in account.client("s3").list_buckets()["Buckets"]] == [
        f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
    ]
