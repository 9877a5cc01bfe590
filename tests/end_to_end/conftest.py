"""One cloud that has lived through the fourteen months; the tests of this folder look at it and then break it."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from console.demo.electricity import STORY
from console.demo.run import run_in_cloud
from console.local_cloud.local_cloud import PLATFORM, LocalCloud, started
from millrace.aws.objects import split_uri
from millrace.names import WorkloadNames
from tests.infra.local.control import control as control_of

LOOKING = (
    "test_loop.py",
    "test_lineage.py",
    "test_readers.py",
    "test_operator_runs.py",
    "test_operator_records.py",
    "test_validation.py",
)
BREAKING = (
    "test_faults.py",
    "test_console_inputs.py",
    "test_groups.py",
    "test_release_rollback.py",
    "test_refusals.py",
    "test_operator_rollback.py",
    "test_teardown.py",
    "test_permissions.py",
)
"""In this order: what the one leaves is in the other's way; the last reads what was allowed in all of them."""
REST_S = 900.0
"""Only a cloud that never rests reaches it: a busy machine may take minutes."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """These come after all other tests, so that the cloud is up no longer than it must be; where several processes
    share the tests they come first, since they last longest.

    First come those that look at what the fourteen months left, last those that break it."""
    others = 3 + len(BREAKING) if hasattr(config, "workerinput") else 0
    items.sort(key=lambda item: _turn(item.path, others))


def _turn(file: Path, others: int) -> int:
    if file.parent != Path(__file__).parent:
        return others
    if file.name in BREAKING:
        return 3 + BREAKING.index(file.name)
    return 1 if file.name in LOOKING else 2


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A queue of the tests' own, to which rules of their own bring every event of the buses."""

    cloud: LocalCloud
    buses: tuple[str, ...] = ("default", PLATFORM.bus)
    name: str = "witness"
    bodies: list[str] = field(default_factory=list)
    """The messages as they came, in the order of delivery."""

    def stand_up(self) -> None:
        sqs, events = self.cloud.client("sqs"), self.cloud.client("events")
        arn = f"arn:aws:sqs:{PLATFORM.region}:{PLATFORM.account}:{self.name}"
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                }
            ],
        }
        sqs.create_queue(QueueName=self.name, Attributes={"Policy": json.dumps(policy)})
        for bus in self.buses:
            pattern = json.dumps({"account": [PLATFORM.account]})
            events.put_rule(Name=f"{self.name}-{bus}", EventBusName=bus, EventPattern=pattern)
            events.put_targets(Rule=f"{self.name}-{bus}", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    @contextmanager
    def watching(self) -> Iterator[None]:
        """In the block, messages are taken as they come: they live for days only, and the clock moves by weeks."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            watch = pool.submit(self._watch, over)
            try:
                yield
            finally:
                over.set()
                watch.result()

    def _watch(self, over: threading.Event) -> None:
        while not over.is_set():
            self.look(wait_s=1)

    def look(self, *, wait_s: int = 0) -> None:
        """Take what has come since, waiting for the first message for so long."""
        sqs = self.cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=self.name)["QueueUrl"]
        asked = {"QueueUrl": url, "MaxNumberOfMessages": 10}
        while messages := sqs.receive_message(**asked, WaitTimeSeconds=wait_s).get("Messages"):
            self.bodies.extend(message["Body"] for message in messages)
            entries = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    def told(self, detail_type: str) -> list[dict[str, Any]]:
        """The events of one type so far."""
        self.look()
        return [event for event in map(json.loads, self.bodies) if event["detail-type"] == detail_type]


@dataclass(frozen=True, kw_only=True)
class Lived:
    """The running cloud, what `demo.json` says of it and the folder it writes to."""

    cloud: LocalCloud
    names: WorkloadNames
    result: dict[str, Any]
    build: Path
    calls_of_people: Counter[str]
    """What was called in the fourteen months by no role: operation and how often."""
    denials: list[dict[str, Any]]
    """What roles were refused in them."""
    policies: dict[str, dict[str, Any]]
    """The policy of each role as it was deployed."""
    witness: Witness

    def rest(self) -> None:
        self.cloud.wait(timeout_s=REST_S)

    def put(self, feed: str, name: str, body: bytes) -> str:
        """Drop a file; its URI with its version, as executions name it."""
        bucket, key = self.names.platform.bucket("landing"), f"{self.names.workload}/{feed}/{name}"
        version = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        return f"s3://{bucket}/{key}?versionId={version}"

    def read(self, uri: str) -> bytes:
        """The object's bytes; of the version that the URI names, if it names one."""
        plain, _, version = uri.partition("?versionId=")
        bucket, key = split_uri(plain)
        chosen = {"VersionId": version} if version else {}
        return bytes(self.cloud.client("s3").get_object(Bucket=bucket, Key=key, **chosen)["Body"].read())

    def parquet(self, uri: str) -> pa.Table:
        return pq.read_table(io.BytesIO(self.read(uri)))

    def below(self, *parts: str) -> list[str]:
        """The URIs of the objects in the lake whose keys begin like this."""
        bucket, prefix = split_uri(self.names.lake_uri(*parts))
        pages = self.cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [f"s3://{bucket}/{entry['Key']}" for page in pages for entry in page.get("Contents", [])]

    def quarantine(self, run: str) -> list[dict[str, Any]]:
        """The rows that one execution refused, in the order of their lines."""
        files = [uri for uri in self.below("quarantine/") if run in uri]
        rows = [row for uri in files for row in self.parquet(uri).to_pylist()]
        return sorted(rows, key=lambda row: row["line"] or 0)


def control(cloud: LocalCloud, route: str, body: dict[str, Any] | None = None) -> Any:
    """What a control route of the local cloud says."""
    return control_of(cloud.endpoint_url, route, body, secret=cloud.secret)


def calls_of_people(cloud: LocalCloud) -> Counter[str]:
    return Counter(control(cloud, "api-calls")["of_people"])


@pytest.fixture(scope="session")
def catalog(lived: Lived) -> GlueCatalog:
    """pyiceberg's own catalogue and file reader, with the keys of somebody who reads."""
    place = {"region": PLATFORM.region, "access-key-id": "reader", "secret-access-key": "reader"}
    glue = {f"glue.{name}": value for name, value in place.items()} | {"glue.endpoint": lived.cloud.endpoint_url}
    s3 = {f"s3.{name}": value for name, value in place.items()} | {"s3.endpoint": lived.cloud.endpoint_url}
    return GlueCatalog("reader", **glue, **s3)


@contextmanager
def recording() -> Iterator[None]:
    """A cloud that is started in the block writes down what its roles are allowed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_RECORD", "1")
        yield


def deployed_policies(cloud: LocalCloud) -> dict[str, dict[str, Any]]:
    iam = cloud.client("iam")
    roles = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    return {
        role: iam.get_role_policy(RoleName=role, PolicyName="statements")["PolicyDocument"]
        for role in roles
        if role.startswith(PLATFORM.prefix)
    }


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    build = tmp_path_factory.mktemp("build")
    with recording(), started(build, clock=STORY.start, workloads=[STORY.workload]) as cloud:
        witness = Witness(cloud=cloud)
        witness.stand_up()
        before = calls_of_people(cloud)
        with witness.watching():
            result = run_in_cloud(cloud, build, STORY, said=lambda line: print(line, file=sys.stderr)).result
        after = calls_of_people(cloud)
        yield Lived(
            cloud=cloud,
            names=STORY.names,
            result=result,
            build=build,
            calls_of_people=after - before,
            denials=control(cloud, "denials"),
            policies=deployed_policies(cloud),
            witness=witness,
        )
