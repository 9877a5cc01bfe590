"""An app of another shape, of which the local cloud knows nothing, runs from its assembly alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import infra  # noqa: F401 - says by JSII_NODE which node the CDK runs in
import localcloud
from tests.archives import untarred
from tests.credentials import KEYS
from tests.localcloud.tiny_images import role
from tests.localcloud.waiting import until

APP = Path(__file__).parent / "foreign" / "app.py"
TEMPLATES = APP.with_name("template")
README = Path(localcloud.__file__).with_name("README.md")


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app") / "cdk.out"
    subprocess.run([sys.executable, APP, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def client(assembly: Path) -> Iterator[Callable[[str], Any]]:
    """Clients of a cloud of its own into which the app is deployed, by the two commands of the README."""
    command = [sys.executable, "-m", "localcloud", "--workspace", assembly.with_name("cloud"), "--images", TEMPLATES]
    command += [assembly, "--parameters", "shop:Seconds=30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["endpoint_url"]
        assert process.stdout.readline().startswith("shop: CREATE_COMPLETE, 14 resources")
        yield lambda name: boto3.Session("local", "local", region_name="eu-west-1").client(name, endpoint_url=url)
        process.terminate()


def test_a_message_trains_in_the_apps_own_image(client: Callable[[str], Any]) -> None:
    client("s3").put_object(Bucket="shop-models", Key="input/none", Body=b"0")
    client("lambda").invoke(FunctionName="shop-ask", Payload=json.dumps({"numbers": "[1, 2, 6]"}))
    found = lambda: client("s3").list_objects_v2(Bucket="shop-models", Prefix="fitted/").get("Contents", [])  # noqa: E731
    until(found)
    archive = client("s3").get_object(Bucket="shop-models", Key=found()[0]["Key"])["Body"].read()
    assert untarred(archive)["mean.txt"] == b"3.0"


def put_stack(cloudformation: Any, name: str, **parameters: str) -> dict[str, str]:
    """The outputs of a new stack of the template with this name, or of its new version."""
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    body = (TEMPLATES / f"{name}.yaml").read_text()
    cloudformation.create_stack(StackName=name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    assert stack["StackStatus"] == "CREATE_COMPLETE", events
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def test_a_template_trains_and_serves_in_the_image_of_a_folder(client: Callable[[str], Any]) -> None:
    """Its container has no entry point: `train` and `serve` lie on its PATH. Parts of it moto alone knows."""
    cloudformation, states = client("cloudformation"), client("stepfunctions")
    made = put_stack(cloudformation, "means")
    (gateway,) = client("ec2").describe_internet_gateways()["InternetGateways"]
    assert (gateway["InternetGatewayId"], made["Zone"]) == (made["Gateway"], "eu-west-1b")
    run = states.start_execution(stateMachineArn=made["MachineArn"])["executionArn"]
    until(lambda: states.describe_execution(executionArn=run)["status"] != "RUNNING")
    ended = states.describe_execution(executionArn=run)
    assert ended["status"] == "SUCCEEDED", ended
    data = json.loads(ended["output"])["ModelArtifacts"]["S3ModelArtifacts"]
    name = put_stack(cloudformation, "serving", ModelData=data)["Name"]
    assert client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"1")["Body"].read() == b"3.0"
    cloudformation.delete_stack(StackName="serving")
    assert not client("sagemaker").list_endpoints()["Endpoints"]
    assert "serving" not in str(cloudformation.describe_stacks())


def test_the_sagemaker_sdk_trains_processes_registers_and_serves(
    client: Callable[[str], Any], assembly: Path, tmp_path: Path
) -> None:
    """The block of the README by the real package, in a process of its own with scripts of its own."""
    settings, block = re.findall(r"```(?:yaml|python)\n(.+?)```", README.read_text(), re.DOTALL)
    (tmp_path / "sdk.yaml").write_text(settings)
    (tag,) = json.loads((assembly / "shop.assets.json").read_text())["dockerImages"]
    arn = role(client("iam"), "notebook", "s3:*")
    code = f"image, role = 'shop.dkr.ecr.eu-west-1.amazonaws.com/assets:{tag}', {arn!r}\n{block}\nprint(answer)"
    own = {"AWS_ENDPOINT_URL": client("s3").meta.endpoint_url, "SAGEMAKER_USER_CONFIG_OVERRIDE": tmp_path / "sdk.yaml"}
    environment = {**os.environ, **KEYS, **own}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.stdout.endswith("b'3.0'\n"), ran.stdout + ran.stderr
    assert client("s3").get_object(Bucket="shop-models", Key="made/count.txt")["Body"].read() == b"3"
    decided = client("iam").simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:PutObject", "sqs:Send"])
    assert [one["EvalDecision"] for one in decided["EvaluationResults"]] == ["allowed", "implicitDeny"]
