"""Web pages of any site reach a port of this machine: none is answered, and none moves the clock."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.control import SECRET_HEADER, SECRET_VARIABLE, secret_file
from tests.localcloud.resources import Resources

ORIGIN = {"Origin": "http://evil.example"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def send(
    cloud: Cloud, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], str]:
    """Status, headers in lower case and body of the answer."""
    connection = http.client.HTTPConnection("localhost", cloud.port, timeout=10)
    try:
        connection.request(method, path, body, {"Host": f"localhost:{cloud.port}", **headers})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def signed(cloud: Cloud, path: str, service: str = "s3") -> dict[str, str]:
    request = AWSRequest("GET", f"{cloud.endpoint_url}{path}")
    SigV4Auth(Credentials("local", "local"), service, "eu-west-1").add_auth(request)
    return {"Authorization": request.headers["Authorization"], "X-Amz-Date": request.headers["X-Amz-Date"]}


@pytest.fixture
def bucket(aws: Resources) -> str:
    return aws.bucket()


@pytest.mark.parametrize(
    ("method", "headers", "reason"),
    [
        ("OPTIONS", PREFLIGHT, "no preflight"),
        ("OPTIONS", {}, "no preflight"),
        ("GET", ORIGIN, "Origin 'http://evil.example'"),
        ("POST", {**ORIGIN, **FORM}, "Origin"),
        ("POST", {"Origin": "null", **FORM}, "Origin 'null'"),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "Sec-Fetch-Site"),
        ("GET", {"Sec-Fetch-Site": "same-site"}, "Sec-Fetch-Site"),
        ("GET", {"Host": "evil.example"}, "Host localhost"),
        ("GET", {"Host": "localhost.evil.example:80"}, "Host localhost"),
        ("GET", {"Host": "evillocalhost"}, "Host localhost"),
        ("GET", {"Host": ""}, "Host localhost"),
    ],
)
@pytest.mark.parametrize("path", ["/{}/", "/_millrace/clock", "/moto-api/data.json", "/?Action=ListQueues"])
def test_no_page_is_answered(
    cloud: Cloud, bucket: str, method: str, path: str, headers: dict[str, str], reason: str
) -> None:
    """Signed and with the secret, so that nothing else refuses it."""
    path = path.format(bucket)
    known = {**signed(cloud, path), SECRET_HEADER: cloud.secret}
    status, answered, body = send(cloud, method, path, {**known, **headers})
    assert status == 403
    assert reason in json.loads(body)["message"]
    assert not [name for name in answered if name.startswith("access-control-")]


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}])
def test_a_client_and_an_address_that_a_person_opens_are_answered(
    cloud: Cloud, bucket: str, headers: dict[str, str]
) -> None:
    """The control of the refusals."""
    status, answered, _ = send(cloud, "GET", f"/{bucket}/", {**signed(cloud, f"/{bucket}/"), **headers})
    assert status == 200
    assert not [name for name in answered if name.startswith("access-control-")]


def test_a_bucket_before_the_host_is_answered(cloud: Cloud, bucket: str) -> None:
    """So AWS's command line for the CDK writes it."""
    status, _, body = send(cloud, "GET", "/", {**signed(cloud, "/"), "Host": f"{bucket}.localhost:{cloud.port}"})
    assert (status, f"<Name>{bucket}</Name>" in body) == (200, True)


def test_a_page_changes_nothing(cloud: Cloud, fresh: Any) -> None:
    """A form of moto's query protocol needs no preflight and no signature."""
    body = f"Action=CreateTopic&Name={fresh('topic')}&Version=2010-03-31".encode()
    before = boto3.client("sns").list_topics()["Topics"]
    assert send(cloud, "POST", "/", {**ORIGIN, **FORM}, body)[0] == 403
    assert boto3.client("sns").list_topics()["Topics"] == before
    send(cloud, "POST", "/", {**FORM, "Authorization": signed(cloud, "/", "sns")["Authorization"]}, body)
    assert len(boto3.client("sns").list_topics()["Topics"]) == len(before) + 1, "the control: without an Origin"


@pytest.mark.parametrize("route", ["clock", "denials", "permissions", "idle"])
def test_a_control_route_answers_only_to_the_secret_of_the_run(cloud: Cloud, route: str) -> None:
    path = f"/_millrace/{route}"
    for secret in ({}, {SECRET_HEADER: ""}, {SECRET_HEADER: "x" + cloud.secret}):
        status, _, body = send(cloud, "GET", path, secret)
        assert status == 403
        assert SECRET_VARIABLE in json.loads(body)["error"]
    assert send(cloud, "GET", path, {SECRET_HEADER: cloud.secret})[0] == 200


@pytest.mark.parametrize("content", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_the_clock_takes_json_only(cloud: Cloud, content: str) -> None:
    before = cloud.clock.now()
    body = json.dumps({"to": "2099-01-01T00:00:00+00:00"}).encode()
    headers = {SECRET_HEADER: cloud.secret, "Content-Type": content}
    status, _, answer = send(cloud, "POST", "/_millrace/clock", headers, body)
    assert (status, "application/json" in json.loads(answer)["error"]) == (415, True)
    assert cloud.clock.now().year == before.year


def test_the_secret_is_in_a_file_that_only_its_owner_reads(cloud: Cloud) -> None:
    path = secret_file(cloud.workspace)
    assert path.read_text() == cloud.secret == os.environ[SECRET_VARIABLE]
    assert path.stat().st_mode & 0o077 == 0


def test_the_processes_of_roles_do_not_get_it(cloud: Cloud) -> None:
    seen: list[dict[str, str]] = []
    cloud.watchers.append(lambda _, environment: seen.append(dict(environment)))
    cloud.spawn(["true"], environment={"PATH": os.environ["PATH"]}, cwd=cloud.workspace, log=cloud.workspace / "log")
    assert SECRET_VARIABLE not in seen[0]
