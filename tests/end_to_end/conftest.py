"""Clouds of whole stories: a file begins at a state that is made once, and what it does is gone at its end."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from localcloud.iam.recording import Allowed, read
from millrace.aws.objects import split_uri
from millrace.console.demo.electricity import STORY
from millrace.console.demo.run import run_in_cloud
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, LocalCloud, started
from millrace.names import WorkloadNames
from tests.checkpoints import Checkpoint, checkpoint, end_life
from tests.live import REST_S
from tests.localcloud.control import control as control_of
from tests.localcloud.waiting import until


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order does not matter, but for the file that reads what was allowed in all others: it comes last."""
    items.sort(key=lambda item: item.path == Path(__file__).with_name("test_permissions.py"))


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

    def put_together(self, feed: str, bodies: Mapping[str, bytes]) -> dict[str, str]:
        """URIs by name of drops that the intake receives in one batch, in this order, when all of it has ended."""
        functions, sqs = self.cloud.client("lambda"), self.cloud.client("sqs")
        source, waiting = self.names.queue_arn("drops"), "ApproximateNumberOfMessages"
        url = sqs.get_queue_url(QueueName=self.names.queue("drops"))["QueueUrl"]

        def states() -> dict[str, str]:
            found = functions.list_event_source_mappings(EventSourceArn=source)["EventSourceMappings"]
            return {each["UUID"]: each["State"] for each in found}

        def messages() -> int:
            return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[waiting])["Attributes"][waiting])

        (mapping,) = states()
        functions.update_event_source_mapping(UUID=mapping, Enabled=False)
        try:
            until(lambda: states()[mapping] == "Disabled")
            uris = {}
            for number, (name, body) in enumerate(bodies.items(), start=1):
                uris[name] = self.put(feed, f"together/{name}", body)
                until(lambda number=number: messages() == number)
        finally:
            functions.update_event_source_mapping(UUID=mapping, Enabled=True)
        self.rest()
        return uris

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


@pytest.fixture(scope="module")
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


@dataclass(frozen=True, kw_only=True)
class States:
    """A cloud that goes back to each state that it was in, and what was allowed in all its lives."""

    cloud: LocalCloud
    build: Path
    allowed: list[Allowed] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    """The processes with their environments."""
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)

    def keep(self, name: str) -> None:
        """Make the state that the cloud is in now one to go back to."""
        self.cloud.wait(timeout_s=REST_S)
        self._checkpoints[name] = checkpoint(self.cloud, name, self.build, [self.build / "mlflow.db"])

    @contextmanager
    def life(self, name: str) -> Iterator[None]:
        """In the block, the cloud goes on from this state."""
        self._checkpoints[name].restore()
        try:
            yield
        finally:
            end_life(self.cloud, self.build)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """What is allowed in the block is kept beyond the life that it happens in."""
        control(self.cloud, "permissions", {"on": True})
        yield
        self.record()

    def record(self) -> None:
        """Keep what was allowed since the record began."""
        told = control(self.cloud, "permissions")
        assert told["dropped"] == 0
        self.allowed.extend(read(told))
        self.started.extend(told["started"])


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[States]:
    """The state *deployed*: the workload of electricity, and nothing else has happened."""
    build = tmp_path_factory.mktemp("build")
    with recording(), started(build, clock=STORY.start, workloads=[STORY.workload]) as cloud:
        states = States(cloud=cloud, build=build)
        states.record()
        states.keep("deployed")
        end_life(cloud, build)
        yield states


@pytest.fixture(scope="module")
def cloud(states: States) -> Iterator[LocalCloud]:
    """A cloud into which the workload of electricity is deployed, for this file alone."""
    with states.life("deployed"), states.recorded():
        yield states.cloud


@pytest.fixture
def environment(cloud: LocalCloud) -> Environment:
    return local_environment(cloud)


@pytest.fixture(scope="session")
def fourteen_months(states: States) -> Lived:
    """What happened in the fourteen months, on the way to the state of this name."""
    cloud, build = states.cloud, states.build
    with states.life("deployed"), states.recorded():
        witness = Witness(cloud=cloud)
        witness.stand_up()
        before = calls_of_people(cloud)
        with witness.watching():
            result = run_in_cloud(cloud, build, STORY, said=lambda line: print(line, file=sys.stderr)).result
        after = calls_of_people(cloud)
        lived = Lived(
            cloud=cloud,
            names=STORY.names,
            result=result,
            build=build,
            calls_of_people=after - before,
            denials=control(cloud, "denials"),
            policies=deployed_policies(cloud),
            witness=witness,
        )
        states.keep("fourteen months")
    return lived


@pytest.fixture(scope="module")
def lived(states: States, fourteen_months: Lived) -> Iterator[Lived]:
    """A cloud that has lived through the fourteen months, for this file alone."""
    witness = replace(fourteen_months.witness, bodies=list(fourteen_months.witness.bodies))
    with states.life("fourteen months"), states.recorded(), pytest.MonkeyPatch.context() as patch:
        # Commands reach it.
        patch.setenv("AWS_ENDPOINT_URL", states.cloud.endpoint_url)
        patch.setenv(SECRET_VARIABLE, states.cloud.secret)
        yield replace(fourteen_months, result=deepcopy(fourteen_months.result), witness=witness)
