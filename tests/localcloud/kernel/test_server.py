from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.localcloud.control import control

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a cloud as a process; none outlives the test, also when it fails."""
    begun: list[subprocess.Popen[str]] = []

    def start(workspace: Path, *arguments: str) -> subprocess.Popen[str]:
        # Tests in the background of a shell ignore SIGINT, and what they start would too until it says otherwise.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "localcloud", "--workspace", str(workspace)]
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen([*command, *arguments], stdout=pipe, stderr=pipe, text=True))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_calls_of_roles_are_told_from_those_of_people(cloud):
    before = control(cloud.endpoint_url, "api-calls")
    boto3.client("sqs").list_queues()
    with pytest.raises(ClientError):
        boto3.client("sqs", aws_access_key_id="ASIAEXAMPLE", aws_secret_access_key="x").list_queues()
    after = control(cloud.endpoint_url, "api-calls")
    name = "sqs:ListQueues"
    assert after["by_operation"][name] - before["by_operation"].get(name, 0) == 2
    assert after["of_people"][name] - before["of_people"].get(name, 0) == 1


def test_what_a_filler_asks_inside_the_cloud_is_not_counted(cloud):
    before = control(cloud.endpoint_url, "api-calls")
    cloud.client("sqs").list_queues()
    assert control(cloud.endpoint_url, "api-calls") == before


def test_a_client_is_told_to_go_on_before_it_sends_the_body(cloud):
    """Without it botocore waits for a second with each object."""
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=60) as client:
        client.sendall(b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 100"


def test_threads_take_turns_quickly(cloud):
    """Measured with four threads that compute: an upload in three calls takes 2 s instead of 9."""
    assert sys.getswitchinterval() == pytest.approx(0.001)


def test_a_service_that_is_not_there_is_named(cloud):
    """Signed as a client of the service would sign, which boto3 does not have."""
    request = AWSRequest("POST", f"{cloud.endpoint_url}/api/2.0/mlflow/runs/create", data=b"{}")
    SigV4Auth(Credentials("local", "local"), "sagemaker-mlflow", "eu-west-1").add_auth(request)
    asked = urllib.request.Request(request.url, request.data, dict(request.headers), method="POST")
    with pytest.raises(urllib.error.HTTPError, match="501") as refused:
        urllib.request.urlopen(asked)
    assert "the local cloud cannot do this" in refused.value.read().decode()


def test_the_clock_starts_where_asked_and_only_moves_forward(start, tmp_path):
    process = start(tmp_path / "workspace", "--clock", "1997-01-01T00:00:00+00:00")
    try:
        announced = json.loads(process.stdout.readline())
        clock = partial(control, announced["endpoint_url"], "clock", secret=Path(announced["secret_file"]).read_text())
        assert clock()["now"].startswith("1997-01-01T00:00")
        assert clock({"to": "1997-01-05T12:00:00+00:00"})["now"].startswith("1997-01-05T12:00:00")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            clock({"to": "1996-01-01T00:00:00+00:00"})
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ready", [True, False])
def test_a_signal_at_any_moment_ends_it(start, tmp_path, number, ready):
    process = start(tmp_path / "workspace")
    if ready:
        url = json.loads(process.stdout.readline())["endpoint_url"]
    else:
        time.sleep(0.15)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    if ready:
        assert process.returncode == 0, errors
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def test_it_listens_on_loopback_only(cloud):
    host = socket.gethostbyname(socket.gethostname())
    if host.startswith("127."):
        pytest.skip("this machine has no other address")
    with socket.socket() as probe:
        assert probe.connect_ex((host, cloud.port)) != 0


def test_a_port_in_use_is_refused_at_start(start, tmp_path, cloud):
    process = start(tmp_path / "workspace", "--port", str(cloud.port))
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "Address already in use" in errors
