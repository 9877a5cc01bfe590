"""Two accounts: a version that dev has released there becomes the live one here, by the rights of both and by no less.

This side is deployed whole. The other account has what dev's templates share: its buckets, keys and versions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aws_cdk import assertions
from typer.testing import CliRunner

from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.aws.objects import download, read_object
from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import (
    PLATFORM,
    SECRET_VARIABLE,
    LocalCloud,
    deploy,
    find_cloud,
    start_cloud,
    start_synthesis,
)
from millrace.console.local_cloud.processes import Processes
from millrace.infra.iam.resource import policy
from millrace.infra.iam.sharing import describe_versions
from millrace.infra.options import Options, Reader
from millrace.infra.settings import StageSettings, settings_for
from millrace.infra.stacks.platform import PlatformStack
from millrace.names import Platform, WorkloadNames
from millrace.release.registry import Package, Registry
from millrace.release.signatures import SigningKey
from tests.electricity import live_at_once
from tests.end_to_end.callers import typed
from tests.end_to_end.conftest import control
from tests.localcloud.resources import of_account
from tests.other_stage import register_there, release_there

pytestmark = pytest.mark.night("by day the functions and the sharing of two stages by themselves")
ROOT = Path(__file__).resolve().parents[2]
ELECTRICITY = ROOT / "workloads" / "electricity"
NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
DEV = WorkloadNames(
    platform=Platform(stage="dev", account="111122223333", region=PLATFORM.region), workload="electricity"
)
CLOCK = datetime.fromisoformat("1997-01-10T08:00:00+00:00")
IMAGE = f"{DEV.platform.repository_uri('inference')}:local"
REST_S = 300.0


@dataclass(kw_only=True)
class Dev:
    """The account of dev."""

    cloud: LocalCloud
    settings: StageSettings
    key_arn: str = ""
    signing_key_arn: str = ""

    def client(self, service: str) -> Any:
        """A client of the account's operator."""
        return of_account(self.cloud.client(service), self.settings.platform.account)

    def stand_up(self) -> None:
        """Make the keys, the bucket and the group of versions, with the policies that dev's templates give them."""
        stack = PlatformStack(cdk.App(), settings=self.settings, workloads=[DEV.workload], hosts=False)
        template = assertions.Template.from_stack(stack)
        keys = [one["Properties"] for one in template.find_resources("AWS::KMS::Key").values()]
        kms, s3, bucket = self.client("kms"), self.client("s3"), DEV.platform.bucket("artefacts")
        made = {}
        for key in keys:
            spec = {"KeySpec": key["KeySpec"], "KeyUsage": key["KeyUsage"]} if "KeySpec" in key else {}
            answer = kms.create_key(Policy=json.dumps(key["KeyPolicy"]), **spec)
            made[bool(spec)] = str(answer["KeyMetadata"]["Arn"])
        self.key_arn, self.signing_key_arn = made[False], made[True]
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": PLATFORM.region})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key_arn}}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        policies = [
            one["Properties"]["PolicyDocument"]["Statement"]
            for name, one in template.find_resources("AWS::S3::BucketPolicy").items()
            if name.startswith("artefacts")
        ]
        shared = [one for statements in policies for one in statements if "Sid" in one]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy(shared)))
        sagemaker = self.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName=DEV.package_group)
        sagemaker.put_model_package_group_policy(
            ModelPackageGroupName=DEV.package_group,
            ResourcePolicy=json.dumps(policy(describe_versions(self.settings, DEV))),
        )

    def release(self, artefact: Artefact, run: str) -> Package:
        s3, sagemaker = self.client("s3"), self.client("sagemaker")
        key = SigningKey(self.client("kms"), self.signing_key_arn)
        package = register_there(s3, sagemaker, key, DEV, artefact, run=run, image=IMAGE)
        release_there(sagemaker, DEV, package)
        return package


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The account of dev, beside a cloud in which eight months of rows have come and version 1 is live."""
    folder = tmp_path_factory.mktemp("accounts")
    declaration = shutil.copytree(ELECTRICITY, folder / "workloads" / "electricity") / "workload.yaml"
    declaration.write_text(live_at_once(declaration.read_text()))
    trusted = Options(released_to=(Reader(account=PLATFORM.account, stage="local"),))
    settings = settings_for("dev", account=DEV.platform.account, region=DEV.platform.region, options=trusted)
    (folder / "build").mkdir()
    processes = Processes(folder=folder / "build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        try:
            cloud = find_cloud(start_cloud(processes, clock=CLOCK))
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
            patch.setenv(SECRET_VARIABLE, cloud.secret)
            dev = Dev(cloud=cloud, settings=settings)
            dev.stand_up()
            place = {"account": DEV.platform.account, "stage": "dev"}
            source = {**place, "key_arn": dev.key_arn, "signing_key_arn": dev.signing_key_arn}
            stages = {"local": {"pulls_from": source}}
            (folder / "cdk.json").write_text(json.dumps({"context": {"stages": stages}}))
            start_synthesis(processes, {}, workloads=["electricity"]).succeed()
            deploy(processes, cloud)
            sink = pa.BufferOutputStream()
            pq.write_table(pq.read_table(ELECTRICITY / "sample" / "elec2.parquet").slice(0, 11_500), sink)
            key = "electricity/training/known.parquet"
            body = sink.getvalue().to_pybytes()
            cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=body)
            cloud.wait(timeout_s=REST_S)
            yield dev
        finally:
            processes.stop()


@pytest.fixture(scope="module")
def version(dev: Dev, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Version 1 of dev: the network of our version 1, from rows and a declaration of dev's own."""
    [package] = Registry(dev.cloud.client("sagemaker"), group=NAMES.package_group).all()
    archive = tmp_path_factory.mktemp("version") / ARCHIVE
    download(dev.cloud.client("s3"), package.model_data_url, archive)
    artefact = read_archive(archive)
    digests = replace(artefact.description.digests, data="1" * 64, config="2" * 64, code="3" * 64)
    return dev.release(replace(artefact, description=replace(artefact.description, digests=digests)), "2f4c")


def pulled(cloud: LocalCloud, number: str) -> dict[str, Any]:
    """How the run of `train` has ended, its output parsed."""
    CliRunner().invoke(app, ["pull", number, "--from", f"{DEV.platform.account}/dev", "--wait"])
    states = cloud.client("stepfunctions")
    run = states.list_executions(stateMachineArn=NAMES.machine_arn("train"))["executions"][0]
    ended: dict[str, Any] = states.describe_execution(executionArn=run["executionArn"])
    assert json.loads(ended["input"])["pulled"] == DEV.package_arn(number)
    return {**ended, "output": json.loads(ended.get("output") or "{}")}


def live(cloud: LocalCloud) -> str:
    cloud.wait(timeout_s=REST_S)
    [number] = [one["version"] for one in typed("versions") if one["status"] == "live"]
    return str(number)


def test_a_version_of_dev_is_judged_here_and_becomes_the_live_one(dev: Dev, version: Package) -> None:
    run = pulled(dev.cloud, "1")
    assert run["status"] == "SUCCEEDED", run
    assert live(dev.cloud) == "2"
    package = Registry(dev.cloud.client("sagemaker"), group=NAMES.package_group).describe(NAMES.package_arn("2"))
    known = package.metadata
    assert (known["origin"], known["beside"], known["data_digest"]) == (version.arn, "1", "1" * 64)
    assert known["model_digest"] == version.metadata["model_digest"]
    assert known["asked_by"] == dev.cloud.client("sts").get_caller_identity()["Arn"]
    # The copy lies under the key of this stage, with the signature of the other one beside it.
    s3 = dev.cloud.client("s3")
    bucket, _, path = package.model_data_url.removeprefix("s3://").partition("/")
    kept = s3.head_object(Bucket=bucket, Key=path)
    ours = dev.cloud.client("ssm").get_parameter(Name=PLATFORM.parameter("key-arn"))["Parameter"]["Value"]
    assert (bucket, kept["SSEKMSKeyId"]) == (PLATFORM.bucket("artefacts"), ours)
    origin = read_object(s3, NAMES.run_uri(known["run"], "origin.sig"))
    assert origin == read_object(dev.client("s3"), DEV.run_uri("2f4c", "model.sig"))
    for word in ("verify", "validate"):
        typed(word, "2")
    assert control(dev.cloud, "denials") == []


def test_a_decision_leads_to_the_other_stage(dev: Dev, version: Package, tmp_path: Path) -> None:
    """Every link that is here is checked; what only dev can look at is named with its digest there."""
    assert live(dev.cloud) == "2"
    [row] = pq.read_table(ELECTRICITY / "sample" / "elec2.parquet").slice(11_500, 1).drop_columns(["class"]).to_pylist()
    (tmp_path / "rows.jsonl").write_text(json.dumps(row | {"timestamp": row["timestamp"].isoformat()}))
    answered = typed("predict", str(tmp_path / "rows.jsonl"))
    assert answered["model_version"] == "2"
    dev.cloud.wait(timeout_s=REST_S)
    links = typed("why", answered["id"])
    assert [link for link in links if link["state"] not in ("checked", "recorded")] == []
    there = {link["what"]: link["digest"] for link in links if link["state"] == "recorded"}
    assert {"data there": "1" * 64, "config there": "2" * 64, "code there": "3" * 64}.items() <= there.items()
    [origin] = [link for link in links if link["what"] == "origin"]
    assert (origin["state"], version.arn in origin["detail"]) == ("checked", True)


@contextmanager
def without_trust(dev: Dev, what: str) -> Iterator[None]:
    """In the block, dev shares everything but this."""
    kms, s3, sagemaker = (dev.client(service) for service in ("kms", "s3", "sagemaker"))
    bucket, group = DEV.platform.bucket("artefacts"), DEV.package_group
    if what == "bucket":
        before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.delete_bucket_policy(Bucket=bucket)
        yield
        s3.put_bucket_policy(Bucket=bucket, Policy=before)
    elif what == "versions":
        before = sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"]
        sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)
        yield
        sagemaker.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy=before)
    else:
        arn = dev.key_arn if what == "key" else dev.signing_key_arn
        before = kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]
        # The policy of a stage that trusts another one of the same account.
        kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=before.replace("role/millrace-local-", "role/x-"))
        yield
        kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=before)


@pytest.mark.parametrize(
    ("what", "action"),
    [
        ("versions", "sagemaker:DescribeModelPackage"),
        ("bucket", "s3:ListBucket"),
        ("key", "kms:Decrypt"),
        ("signing key", "kms:Verify"),
    ],
)
def test_nothing_comes_from_an_account_that_does_not_share_it(
    dev: Dev, version: Package, what: str, action: str
) -> None:
    before, denied = live(dev.cloud), len(control(dev.cloud, "denials"))
    with without_trust(dev, what):
        run = pulled(dev.cloud, "1")
    assert run["status"] == "FAILED", run
    denials = control(dev.cloud, "denials")[denied:]
    assert {(one["role"], one["action"]) for one in denials} == {("millrace-local-electricity-pull", action)}
    assert {one["reason"] for one in denials} == {"because no resource-based policy allows the action"}
    assert live(dev.cloud) == before
