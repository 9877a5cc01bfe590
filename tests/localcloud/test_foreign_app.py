"""An app of another shape, of which the local cloud knows nothing, runs from its assembly alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import infra  # noqa: F401 - says by JSII_NODE which node the CDK runs in
from tests.localcloud.waiting import until

APP = Path(__file__).parent / "foreign" / "app.py"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Clients of a cloud of its own into which the app is deployed, by the two commands of the README."""
    subprocess.run([sys.executable, APP, tmp_path / "cdk.out"], check=True, capture_output=True)
    command = [sys.executable, "-m", "localcloud", "--workspace", tmp_path / "cloud", tmp_path / "cdk.out"]
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
    with tarfile.open(fileobj=io.BytesIO(archive)) as model:
        assert model.extractfile("mean.txt").read() == b"3.0"  # type: ignore[union-attr]
