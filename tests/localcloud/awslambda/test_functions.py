"""Functions in processes of their own: what they see, how they fail, how often they are tried."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.awslambda import functions, pools
from localcloud.awslambda.pools import WORKERS_PER_FUNCTION
from localcloud.awslambda.runtime_api import PREFIX, Invocation, RuntimeApi
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.forks import fork_servers
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until
from tests.processes import parent

DAY_S = 86_400.0
SOURCE = """
import datetime, json, os, sys, time
print("imported")
def handler(event, context):
    print("event", json.dumps(event))
    what = event.get("do")
    if what == "raise":
        raise ValueError("bad " + str(event.get("why")))
    if what == "sleep":
        time.sleep(event["seconds"])
    if what == "exit":
        os._exit(event["code"])
    if what == "eat":
        return len(bytearray(b"x") * (event["mb"] * 2**20))
    if what == "environment":
        return dict(os.environ)
    if what == "clocks":
        left = context.get_remaining_time_in_millis()
        return {"kept": time.monotonic(), "now": datetime.datetime.now(datetime.UTC).isoformat(), "left": left}
    if what == "path":
        return sys.path
    if what == "context":
        return {"arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(),
                "memory": context.memory_limit_in_mb, "id": context.aws_request_id}
    if what == "whoami":
        import boto3
        return boto3.client("sts").get_caller_identity()["Arn"]
    return {"pid": os.getpid(), "echo": event}
"""


@pytest.fixture
def role(aws: Resources) -> str:
    return aws.role("lambda", allow(["sts:*", "sqs:*"]))


@pytest.fixture
def make(aws: Resources, role: str) -> Callable[..., str]:
    """Creates a function and gives its name."""
    return lambda source=SOURCE, **settings: aws.function(source, Role=role, **settings)


@pytest.fixture
def call(client: Callable[[str], Any]) -> Callable[..., Any]:
    """Invokes and gives the answer; `failing` gives the error's payload instead."""

    def invoke(name: str, event: Any = None, *, failing: bool = False) -> Any:
        answer = client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}))
        payload = json.loads(answer["Payload"].read())
        assert (answer.get("FunctionError") == "Unhandled") is failing, payload
        return payload

    return invoke


def test_environment_is_the_functions_own(make: Any, call: Any, role: str) -> None:
    name = make(Environment={"Variables": {"COLOUR": "green"}})
    seen = call(name, {"do": "environment"})
    assert seen["COLOUR"] == "green"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert seen["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert not [variable for variable in seen if variable.startswith(("PYTHON", "MOTO", "VIRTUAL"))]
    assert role.rsplit("/", 1)[1] in call(name, {"do": "whoami"})


def test_a_function_and_its_services_live_in_the_clouds_time(
    cloud: Cloud, make: Any, call: Any, client: Any, aws: Resources
) -> None:
    """Also a worker that ran before: what it keeps is old after the move, and its time limit is the machine's."""
    name, asked, s3, bucket = make(), {"do": "clocks"}, client("s3"), aws.bucket()
    before, unmoved = call(name, asked), call(name, asked)
    begin = cloud.clock.now() + timedelta(days=1800)
    cloud.clock.move(begin)
    moved = call(name, asked)
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    modified = s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    assert begin <= datetime.fromisoformat(moved["now"]) <= cloud.clock.now()
    assert begin - timedelta(seconds=1) <= modified <= cloud.clock.now()
    assert unmoved["kept"] - before["kept"] < 1800 * DAY_S <= moved["kept"] - before["kept"]
    assert 5_000 < moved["left"] <= 10_000


def test_host_packages_are_not_on_the_path(make: Any, call: Any) -> None:
    """A package of the host that nobody bundled (here PyYAML) must fail as on AWS; the SDK is there."""
    failed = call(make("import yaml\n" + SOURCE), failing=True)
    assert failed["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'yaml'" in failed["errorMessage"]
    assert call(make("import boto3\n" + SOURCE))["echo"] == {}


def test_a_process_is_a_fork_and_what_it_would_be_by_itself(make: Any, call: Any, cloud: Cloud) -> None:
    """A variable that libraries read when they are imported lets it start by itself."""
    forked, alone = make(), make(Environment={"Variables": {"BOTO_DISABLE_COMMONNAME": "1"}})
    one, other = call(forked, {}), call(alone, {})
    assert parent(other["pid"]) == os.getpid() != parent(parent(one["pid"]))
    servers = {begun.process.pid for begun in fork_servers(cloud)._begun.values() if begun.process}
    assert parent(parent(one["pid"])) in servers
    paths = [call(name, {"do": "path"}) for name in (forked, alone)]
    assert [Path(folder).name for folder in paths[0]][1:] == [Path(folder).name for folder in paths[1]][1:]
    its = [call(name, {"do": "environment"}) for name in (forked, alone)]
    assert set(its[1]) - set(its[0]) == {"BOTO_DISABLE_COMMONNAME"}
    assert set(its[0]) <= set(its[1])


def test_an_exception_keeps_type_message_and_trace(make: Any, call: Any) -> None:
    failed = call(make(), {"do": "raise", "why": "row 7"}, failing=True)
    assert failed["errorType"] == "ValueError"
    assert failed["errorMessage"] == "bad row 7"
    assert "app.py" in "".join(failed["stackTrace"])


def test_timeout_ends_the_worker(make: Any, call: Any) -> None:
    name = make(Timeout=1)
    before = call(name)["pid"]
    failed = call(name, {"do": "sleep", "seconds": 30}, failing=True)
    assert failed["errorType"] == "Sandbox.Timedout"
    assert failed["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert call(name)["pid"] != before


def test_a_crash_is_told(make: Any, call: Any) -> None:
    failed = call(make(), {"do": "exit", "code": 7}, failing=True)
    assert failed["errorType"] == "Runtime.ExitError"
    assert failed["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")


def test_memory_is_limited(make: Any, call: Any) -> None:
    name = make(MemorySize=128)
    assert call(name, {"do": "eat", "mb": 20}) == 20 * 2**20
    failed = call(name, {"do": "eat", "mb": 400}, failing=True)
    assert failed["errorType"] == "Runtime.ExitError"
    assert failed["errorMessage"].endswith("signal: killed")


def test_concurrent_calls_get_workers_of_their_own_and_one_more_waits(make: Any, call: Any) -> None:
    name, most = make(), WORKERS_PER_FUNCTION
    with ThreadPoolExecutor(most + 1) as threads:
        asked = threads.map(lambda _: call(name, {"do": "sleep", "seconds": 1}), range(most + 1))
        pids = Counter(answer["pid"] for answer in asked)
    assert sorted(pids.values()) == [*[1] * (most - 1), 2]


def test_the_function_called_longest_ago_gives_up_its_worker(monkeypatch: Any, make: Any, call: Any) -> None:
    monkeypatch.setattr(pools, "MOST_IDLE", 2)
    names = [make() for _ in range(3)]
    first = {name: call(name)["pid"] for name in names}
    assert [call(name)["pid"] == first[name] for name in reversed(names)] == [True, True, False]


def test_lines_of_workers_do_not_run_into_each_other(cloud: Cloud, make: Any, call: Any) -> None:
    name = make("def handler(e, c):\n    for n in range(300):\n        print('LINE', e['worker'], n)\n")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda worker: call(name, {"worker": worker}), range(3)))
    log = (cloud.workspace / "logs" / "functions" / f"{name}.log").read_text()
    wanted = {f"LINE {worker} {n}" for worker in range(3) for n in range(300)}
    assert {line for line in log.splitlines() if line.startswith("LINE")} == wanted


def test_asynchronous_failure_is_tried_three_times_then_kept(
    cloud: Cloud, make: Any, client: Any, aws: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.awslambda.functions.RETRY_WAITS_S", (0.05, 0.05))
    letters = aws.queue()
    name = make(DeadLetterConfig={"TargetArn": letters.arn})
    answer = client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"do": "raise"}')
    assert answer["StatusCode"] == 202
    dead = letters.take()
    assert json.loads(dead["Body"]) == {"do": "raise"}
    assert dead["MessageAttributes"]["ErrorMessage"]["StringValue"] == "bad None"
    log = (cloud.workspace / "logs" / "functions" / f"{name}.log").read_text()
    assert log.count("ValueError: bad None") == 3
    with pytest.raises(NotImplementedError, match="event-invoke configurations"):
        client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    until(lambda: not functions.pending(cloud))


def test_a_role_that_lambda_may_not_assume_is_refused(aws: Resources) -> None:
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        aws.function(SOURCE, Role=aws.role("sagemaker"))


def test_a_role_that_trusts_lambda_no_more_starts_no_process(client: Any, make: Any, call: Any, role: str) -> None:
    """The trust policy is asked at each cold start, not only when the function is made."""
    name, iam = make(), client("iam")
    trusted = iam.get_role(RoleName=role.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    for services, allowed in (("sagemaker.amazonaws.com", False), ("lambda.amazonaws.com", True)):
        trusted["Statement"][0]["Principal"]["Service"] = services
        iam.update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=json.dumps(trusted))
        if allowed:
            assert "FunctionError" not in call(name, {})
        else:
            with pytest.raises(ClientError, match=r"AccessDeniedException.*cannot be assumed by Lambda"):
                call(name, {})


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    def background(_: str, serve: Callable[[], None]) -> None:
        threading.Thread(target=serve, daemon=True).start()

    api = RuntimeApi(background)
    yield api
    api.close()


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_takes_no_event_and_answers_none(api: RuntimeApi, headers: dict[str, str]) -> None:
    invocation = Invocation(request_id="1", function_arn="arn", payload=b"{}", timeout_s=1.0)
    api.give(invocation)
    url = f"http://{api.address}{PREFIX}invocation/"
    for request in (
        urllib.request.Request(f"{url}next", headers=headers),
        urllib.request.Request(f"{url}1/response", b"{}", headers),
    ):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=5)
    assert not invocation.taken.is_set()
    with urllib.request.urlopen(f"{url}next", timeout=5) as answer:
        assert answer.read() == b"{}", "the control: the worker's own client"
