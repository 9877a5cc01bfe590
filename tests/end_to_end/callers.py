"""Who asks: a person who types a command, a program with signatures, and callers who ask all the time."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.names import WorkloadNames
from tests.localcloud.resources import of_account


@contextmanager
def meanwhile(ask: Callable[[], object], *, pause_s: Callable[[], float], callers: int = 1) -> Iterator[None]:
    """In the block so many callers `ask` again and again, with a pause before each time."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(pause_s()):
            ask()

    with ThreadPoolExecutor(callers) as pool:
        asked = [pool.submit(go_on) for _ in range(callers)]
        try:
            yield
        finally:
            over.set()
        for each in asked:
            each.result()


def answered(asked: AWSRequest) -> tuple[int, dict[str, str], Any]:
    """The status, the headers and the document of the answer. Nothing is sent twice."""
    call = urllib.request.Request(asked.url, data=asked.data or None, headers=dict(asked.headers), method=asked.method)
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.load(error)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A program with a role that may use the API."""

    url: str
    keys: Credentials

    def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """The status, the headers and the document of the answer. Nothing is sent twice."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        url, own = f"{self.url}{path}", {"content-type": "application/json", **headers}
        request = AWSRequest(method=method, url=url, data=data, headers=own)
        SigV4Auth(self.keys, "execute-api", PLATFORM.region).add_auth(request)
        return answered(request)


def declare_api(folder: Path, **options: object) -> None:
    """Write a `cdk.json` into the folder that gives the stage `local` REST APIs; `options` are more of the stage's."""
    (folder / "cdk.json").write_text(json.dumps({"context": {"stages": {"local": {"api": {}, **options}}}}))


def create_role(
    cloud: LocalCloud, role: str, principal: dict[str, str], account: str = PLATFORM.account, **rights: str
) -> str:
    """The ARN of a role of the account that may take these actions on these resources and nothing else."""
    iam = of_account(cloud.client("iam"), account)
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    own = [{"Effect": "Allow", "Action": action, "Resource": place} for action, place in rights.items()]
    texts = [json.dumps({"Version": "2012-10-17", "Statement": one}) for one in ([trust], own)]
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=texts[0])["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=texts[1])
    return str(arn)


def keys_of(cloud: LocalCloud, role: str, account: str = PLATFORM.account, **rights: str) -> Credentials:
    """Those of a session of a new role of the account."""
    arn = create_role(cloud, role, {"AWS": account}, account, **rights)
    given = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="till-1")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def create_caller(
    cloud: LocalCloud, names: WorkloadNames, role: str = "shop", account: str = PLATFORM.account
) -> Caller:
    """A role of the account that has the right to use the workload's API, so far as its own policies say."""
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName=names.stack("serving"))["Stacks"]
    (url,) = (output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == "ApiUrl")
    host = url.removeprefix("https://").partition(".")[0]
    arn = f"arn:aws:execute-api:{PLATFORM.region}:{PLATFORM.account}:{host.partition('-')[0]}/v1/*"
    keys = keys_of(cloud, role, account, **{"execute-api:Invoke": arn})
    return Caller(url=f"{cloud.endpoint_url}/_aws/execute-api/{host}/v1", keys=keys)


def typed(*words: str) -> Any:
    """What the command prints with --json; None if it is nothing."""
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if done.stdout else None


def status(version: str, *words: str) -> str:
    """What the version is; further words name its workload."""
    return next(str(one["status"]) for one in typed("versions", *words) if one["version"] == version)


def audited(event: str) -> list[dict[str, Any]]:
    """The details of the records of this event, the newest first."""
    return [one["details"] for one in typed("audit", "list", "--event", event)]


def less_of(policy: dict[str, Any], action: str) -> dict[str, Any]:
    """The policy that allows the same but for one action."""
    less = [{**one, "Action": [name for name in one["Action"] if name != action]} for one in policy["Statement"]]
    assert less != policy["Statement"]
    return {**policy, "Statement": [one for one in less if one["Action"]]}
