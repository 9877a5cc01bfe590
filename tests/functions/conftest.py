"""The training and release functions beside moto's services in this process, loaded as at a cold start."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.sagemaker.models import sagemaker_backends

from localcloud.cloudtrail.install import keep_history
from localcloud.dynamodb.install import make_writes_atomic
from localcloud.kernel.patching import undone
from localcloud.kms.install import sign_digests
from millrace.artefact.artefact import Artefact, Digests, digest, read_archive, write_archive
from millrace.aws.objects import keys_below, read_object, split_uri
from millrace.evaluation.sample import write_sample
from millrace.features.number import Number
from millrace.names import VARIANT
from millrace.state.budget import MonthlyBudget
from millrace.state.holdings import Leases, Slots
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from tests import builders
from tests.audit_bucket import create_bucket
from tests.electricity import HOME, live_at_once
from tests.functions.cold_start import NAMES, Handler, cold_starts, set_variables
from tests.signing_key import create_signing_key
from tests.state_table import create_table

EVENTS = Path(__file__).resolve().parents[2] / "events"


class Aws:
    """The services, empty but for the platform's tables and buckets and the workload's package group."""

    names = NAMES

    def __init__(self) -> None:
        self.s3, self.dynamodb = boto3.client("s3"), boto3.client("dynamodb")
        self.sagemaker, self.glue = boto3.client("sagemaker"), boto3.client("glue")
        place = {"LocationConstraint": "eu-west-1"}
        for bucket in ("artefacts", "lake", "landing"):
            self.s3.create_bucket(Bucket=NAMES.platform.bucket(bucket), CreateBucketConfiguration=place)
        landing, versioned = NAMES.platform.bucket("landing"), {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket=landing, VersioningConfiguration=versioned)
        create_bucket(self.s3, NAMES.platform.bucket("audit"))
        for table in (NAMES.platform.state_table, NAMES.platform.audit_table):
            create_table(self.dynamodb, table)
        self.sagemaker.create_model_package_group(ModelPackageGroupName=NAMES.package_group)
        self.kms, self.events, self.sqs = boto3.client("kms"), boto3.client("events"), boto3.client("sqs")
        self.events.create_event_bus(Name=NAMES.platform.bus)
        create_signing_key(self.kms, NAMES.platform)
        state = StateTable(self.dynamodb, NAMES)
        self.pointers, self.leases, self.slots = ReleasePointers(state), Leases(state), Slots(state)
        self.state, self.budget = state, MonthlyBudget(state)

    def put(self, uri: str, body: bytes | str) -> None:
        bucket, key = split_uri(uri)
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def objects(self, purpose: str = "lake") -> dict[str, bytes]:
        """The content of each object in the bucket."""
        bucket = NAMES.platform.bucket(purpose)
        return {key: read_object(self.s3, f"s3://{bucket}/{key}") for key in keys_below(self.s3, bucket, "")}

    def endpoint(self, name: str, status: str = "InService", *, model: str = "", config: str = "") -> None:
        """An endpoint in this state, whose model and configuration are called like it unless they are named."""
        self.model(model or name, config or name)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config or name)
        sagemaker_backends["123456789012"]["eu-west-1"].endpoints[name].endpoint_status = status

    def model(self, name: str, *configs: str, role: str = "x") -> None:
        """A model, unless it is there, and configurations that serve it."""
        if name not in {one["ModelName"] for one in self.sagemaker.list_models()["Models"]}:
            arn, container = f"arn:aws:iam::123456789012:role/{role}", {"Image": "i"}
            self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=arn, PrimaryContainer=container)
        variant = {"VariantName": VARIANT, "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        for config in configs:
            self.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])

    def machines(self, *machines: str) -> Any:
        """Step Functions' client, with these machines of the workload, whose executions wait."""
        states, role = boto3.client("stepfunctions"), "arn:aws:iam::123456789012:role/any"
        wait = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}})
        for machine in machines:
            states.create_state_machine(name=NAMES.machine(machine), definition=wait, roleArn=role)
        return states

    def start(self, execution_arn: str, *, as_role: str = "", given: str = "{}") -> None:
        """Start an execution of this ARN, by the operator or in a session of the role."""
        machine, name = execution_arn.split(":")[-2:]
        role = "arn:aws:iam::123456789012:role/any"
        states = boto3.client("stepfunctions")
        definition = '{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}'
        arn = states.create_state_machine(name=machine, definition=definition, roleArn=role)["stateMachineArn"]
        if as_role:
            assumed = boto3.client("sts").assume_role(RoleArn=f"{role[:-3]}{as_role}", RoleSessionName="ann")
            keys = assumed["Credentials"]
            states = boto3.client(
                "stepfunctions",
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
            )
        states.start_execution(stateMachineArn=arn, name=name, input=given)

    def audit(self) -> list[dict[str, Any]]:
        """The audit records in order, their details parsed."""
        items = self.dynamodb.scan(TableName=NAMES.platform.audit_table)["Items"]
        records = [{name: value["S"] for name, value in item.items()} for item in items]
        records.sort(key=lambda record: record["sk"])
        return [record | {"details": json.loads(record["details"])} for record in records]


CLIENTS: dict[str, tuple[Any, Any]] = {}
"""Each client that a test has made, with its handlers as they were: to make one takes as long as ten calls of it."""
MADE = boto3.client


def client(whose: str, *service: str, **given: Any) -> Any:
    """boto3's client, made once for all tests: one for what a test looks at, and one for what functions call."""
    name = repr((whose, service, given))
    if "sagemaker-runtime" in service or "aws_session_token" in given:
        return MADE(*service, **given)  # type: ignore[call-overload]
    if name not in CLIENTS:
        made = MADE(*service, **given)  # type: ignore[call-overload]
        CLIENTS[name] = made, copy.copy(made.meta.events._emitter)
    return CLIENTS[name][0]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    set_variables(monkeypatch)
    for made, handlers in CLIENTS.values():
        vars(made.meta.events._emitter).update(vars(copy.copy(handlers)))
    with undone(), mock_aws():
        make_writes_atomic()
        sign_digests()
        keep_history(now=lambda: datetime.now(UTC))
        monkeypatch.setattr(boto3, "client", partial(client, "test"))
        found = Aws()
        monkeypatch.setattr(boto3, "client", partial(client, "function"))
        yield found


@pytest.fixture
def load(aws: Aws) -> Iterator[Callable[[str], Handler]]:
    """`load("budget")` is the handler as Lambda calls it after a cold start."""
    with cold_starts() as start:
        yield start


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`declare({"phases: [live]": "phases: [canary, live]"}, "jobs: {}")`: the functions that are loaded later are of
    such an electricity, whose versions go live at once: other texts in place of some, and text behind."""
    file = shutil.copytree(HOME, tmp_path / "workloads" / HOME.name) / "workload.yaml"
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    original = live_at_once(file.read_text())

    def write(changes: Mapping[str, str] | None = None, added: str = "") -> None:
        text = original
        for before, after in (changes or {}).items():
            assert before in text
            text = text.replace(before, after)
        file.write_text(text + added)

    write()
    return write


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """`event("budget", reason="alarm")`: events/<name>.json, fields of its state replaced."""

    def read(name: str, **changes: Any) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
        document.get("state", document).update(changes)
        return document

    return read


@pytest.fixture
def trained_run(aws: Aws, tmp_path: Path) -> Callable[..., str]:
    """`trained_run(data="e" * 64)` puts a run's run.json, report and artefact; the artefact's digests may be other."""

    def put(run: str = "7c1b2f0e-first", **digests: str) -> str:
        pinned = {"data": "d" * 64, "contract": "c" * 64, "config": "f" * 64, "code": "a" * 64}
        words = {"snapshot_id": 4821940093718391, "tag": f"run-{run}", "rows": 11424, "as_of": "1997-01-01T00:10:00Z"}
        words |= {"run": run, "reason": "first", "gate": "baseline"}
        document = {**words, **{f"{link}_digest": value for link, value in pinned.items()}}
        aws.put(NAMES.run_uri(run, "config", "run.json"), json.dumps(document))
        aws.put(NAMES.run_uri(run, "baseline.json"), BASELINE)
        installed = {"python": "3.13.1", "packages": {"numpy": "2.3.0", "onnxruntime": "1.31.1"}}
        aws.put(NAMES.run_uri(run, "evaluation", "environment.json"), json.dumps(installed))
        aws.put(NAMES.run_uri(run, "evaluation", "sample.jsonl"), SAMPLE)
        archive = tmp_path / "model.tar.gz"
        write_archive(archive, artefact_of(pinned | digests))
        report = json.dumps(REPORT | {"model_digest": read_archive(archive).digest})
        aws.put(NAMES.run_uri(run, "evaluation", "evaluation.json"), report)
        job = "1f0e4a0d3e5c0b0d2d5b6c1a9e8f7a6b5c4d3e2f-0-0"
        aws.put(NAMES.run_uri(run, "training", job, "output", "model.tar.gz"), archive.read_bytes())
        return run

    return put


BASELINE = b"{}"
SAMPLE = write_sample([])
REPORT = builders.REPORT | {
    "metrics": {"error": 0.25, "accuracy": 0.75, "log_loss": 0.5, "auc": 0.82, "ece": 0.03},
    "naive": {"rule": "seasonal_naive", "rows": 1344, "metrics": {"error": 0.33, "accuracy": 0.67}},
    "champion": None,
}


def artefact_of(digests: dict[str, str]) -> Artefact:
    weights, onnx = b"weights", b"graph"
    curve = [{"epoch": n, "train_loss": 0.7 / n, "validation_loss": 0.8 / n, "seconds": 0.1} for n in (1, 2, 3)]
    return Artefact(
        description=builders.description(
            parameters={"hidden": [64, 64], "epochs": 3},
            features=(Number(name="nswprice"), Number(name="nswdemand")),
            label="class",
            temperature=1.25,
            digests=Digests(**digests, weights=digest(weights), onnx=digest(onnx)),
        ),
        weights=weights,
        onnx=onnx,
        history=json.dumps(curve).encode(),
    )


@pytest.fixture
def told(aws: Aws) -> Callable[[], list[dict[str, Any]]]:
    """`told()`: the events on the stage's bus since the last call."""
    bus = aws.names.platform.bus
    aws.events.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"source": ["millrace"]}))
    queue = aws.sqs.create_queue(QueueName="told", Attributes={"VisibilityTimeout": "43200"})["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])

    def read() -> list[dict[str, Any]]:
        messages = aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return read
