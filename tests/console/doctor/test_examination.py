"""What the doctor says of an account that has nothing, and of one that has all; of this machine."""

import json
from pathlib import Path

import boto3
import pytest
from moto.cloudformation.models import cloudformation_backends

from millrace.console.doctor.checks import Check
from millrace.console.doctor.examination import BOOTSTRAP, examine, is_good
from millrace.names import MACHINES, WorkloadNames
from millrace.workload.load import load_workload
from tests.console.conftest import DEV, make_machines, stage_of

WORKLOAD = load_workload(Path("workloads/electricity"))
EMPTY = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
NAMES = WorkloadNames(platform=DEV, workload="electricity")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that was never set up and whose images were never pushed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def found(stage: str, repository: Path) -> dict[str, Check]:
    return {check.name: check for check in list(examine(stage, repository / "build", [WORKLOAD]))}


def test_an_account_with_nothing_is_told_what_comes_next(account: None, repository: Path) -> None:
    checks = found("dev", repository)
    advice = {name: check.advice for name, check in checks.items() if check.verdict == "missing"}
    assert advice == {
        "cdk": "make setup",
        "bootstrap stack": "cdk bootstrap -c stage=dev",
        **{f"image {image}": "make images STAGE=dev (after the platform stack)"
           for image in ("training", "processing", "inference")},
        "platform stack": "cdk deploy millrace-dev-platform -c stage=dev",
        "stacks of electricity": "cdk deploy --all -c stage=dev",
    }  # fmt: skip
    assert not is_good(list(checks.values()))
    assert checks["region"].found == "eu-west-1"
    assert checks["IAM roles"].verdict == "ok"
    assert checks["Lake Formation"].verdict == "ok"


def test_an_account_with_all_is_good(account: None, repository: Path) -> None:
    boto3.client("ssm").put_parameter(Name=BOOTSTRAP, Value="28", Type="String")
    for name in ("millrace-dev-platform", "millrace-dev-electricity-ingestion"):
        boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=EMPTY)
    command = repository / "build" / "node" / "node_modules" / ".bin" / "cdk"
    command.parent.mkdir(parents=True)
    command.touch()
    for image in ("training", "processing", "inference"):
        for tag in ("old", "new"):
            digest = f"sha256:{('a' if tag == 'new' else 'b') * 64}"
            boto3.client("ssm").put_parameter(Name=f"/millrace-dev/image/{image}/{tag}", Value=digest, Type="String")
    checks = found("dev", repository)
    assert [name for name, check in checks.items() if check.verdict == "missing"] == []
    assert checks["image training"].found == "sha256:aaaaaaaaaaaa"
    assert checks["bootstrap stack"].found == "version 28"


def test_a_stack_that_was_rolled_back_is_named(account: None, repository: Path) -> None:
    boto3.client("cloudformation").create_stack(StackName="millrace-dev-electricity-training", TemplateBody=EMPTY)
    assert found("dev", repository)["stacks of electricity"].verdict == "ok"
    (stack,) = cloudformation_backends["123456789012"]["eu-west-1"].stacks.values()
    stack.status = "ROLLBACK_COMPLETE"
    check = found("dev", repository)["stacks of electricity"]
    assert (check.verdict, check.found) == ("missing", "millrace-dev-electricity-training: ROLLBACK_COMPLETE")


def test_of_several_workloads_not_all_need_be_deployed(account: None, repository: Path) -> None:
    def gas() -> Check:
        checks = examine("dev", repository / "build", [WORKLOAD, WORKLOAD.model_copy(update={"name": "gas"})])
        return next(check for check in checks if check.name == "stacks of gas")

    assert gas().verdict == "missing"
    boto3.client("cloudformation").create_stack(StackName="millrace-dev-electricity-training", TemplateBody=EMPTY)
    assert (gas().verdict, gas().found) == ("absent", "not deployed")


def test_who_is_sent_the_alarms_of_a_deployed_stage_is_said(account: None, repository: Path) -> None:
    assert "notifications" not in found("dev", repository), "nothing is deployed"
    make_machines(stage_of(DEV), NAMES, *MACHINES)
    topic = boto3.client("sns").create_topic(Name="millrace-dev-alarms")["TopicArn"]
    nobody = found("dev", repository)["notifications"]
    assert (nobody.verdict, nobody.found) == ("unknown", "nobody")
    assert nobody.advice == '"alarm_email": "<address>" below stages.dev in cdk.json, then deploy'
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="team@example.com")
    heard = found("dev", repository)["notifications"]
    assert (heard.verdict, heard.found, heard.advice) == ("ok", "team@example.com", "")


@pytest.mark.parametrize("missing", ["region", "credentials"])
def test_without_a_region_or_credentials_the_rest_is_left_out(
    repository: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(repository / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(repository / "none"))
    if missing == "region":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    else:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    checks = found("prod", repository)
    assert checks[missing].verdict == "missing"
    assert "platform stack" not in checks


def test_no_local_cloud_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert found("local", repository)["local cloud"].advice == "millrace up"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    check = found("local", repository)["local cloud"]
    assert (check.verdict, "refused" in check.found) == ("missing", True)
