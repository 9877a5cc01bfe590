"""Sets the account up: services, functions at a cold start, the machine; and empties it between sequences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import boto3
import moto.awslambda.responses as lambda_responses
import pytest
import yaml
from moto import mock_aws
from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends

from localcloud.dynamodb.install import make_writes_atomic
from localcloud.kernel import patching
from localcloud.kernel.cloud import ACCOUNT, REGION
from localcloud.kernel.install import cache_lookups
from localcloud.kms.install import sign_digests
from localcloud.sagemaker.api import records
from localcloud.sagemaker.endpoints.endpoint import endpoints
from localcloud.sagemaker.registry import Versions
from millrace.artefact.signing import SIGNATURE_FILE
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.sample import write_sample
from millrace.infra.context import Context
from millrace.infra.machines import release
from millrace.infra.machines.states import Definition
from millrace.names import MODEL_ROLE
from millrace.release.promotion import NONE
from millrace.release.registry import ASKED_BY, Package, Registry
from millrace.release.signatures import SigningKey, signed_version
from millrace.state.holdings import Leases
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests import builders
from tests.challenger import answering
from tests.electricity import live_at_once
from tests.functions.cold_start import NAMES, Handler, cold_starts, set_variables
from tests.infra.machines.contexts import context_of
from tests.localcloud.resources import make_role
from tests.release import interpreter
from tests.release.sagemaker import HandCloud, serve
from tests.release.world import FUNCTIONS, World, serve_executions
from tests.shipped import SHIPPED
from tests.signing_key import create_signing_key
from tests.state_table import create_table

ROWS = [{"nswprice": 0.05}, {"nswprice": 0.09}]
ANSWERS = [{"value": 1, "probability": one, "confidence": one} for one in (0.75, 0.875)]
OTHER = {"value": 0, "probability": 0.25, "confidence": 0.75}
"""What a version answers that is unlike the others."""
POLL_S = 300
TABLES = (NAMES.platform.state_table, NAMES.platform.audit_table)
(ELECTRICITY,) = [folder for folder in SHIPPED if folder.name == "electricity"]
ROLLOUTS: dict[str, dict[str, Any]] = {
    "live": {"phases": ["live"]},
    "warm": {"phases": ["live"], "warm_hours": 30},
    "shadow": {"phases": ["shadow", "live"], "shadow": {"margin": 0.05, "block_days": 0, "limit_days": 0.5}},
    "assisted": {
        "phases": ["assisted", "live"],
        "assisted": {"reviews_a_day": 60, "least_agreement": 0.6, "limit_days": 0.5},
    },
    "canary": {"phases": ["canary", "live"], "canary": {"share": 0.5, "requests": 100, "limit_days": 0.125}},
}
"""What a workload may declare: each sequence has one of these. A phase has a few looks only, since most of a sequence's
time is theirs."""
WATCHED = ("shadow", "assisted", "canary")
POLICY = {"automate": {"confidence": 0.5}, "review": {"hours": 2000}}
READERS = ("start_release", "judge_phase", "cleanup", "sweep")
"""The functions that read the workload's phases or its policy."""


@dataclass(kw_only=True)
class Account:
    """What is set up once. `world` is the present sequence."""

    approval: str
    definitions: dict[str, Definition]
    """The machine by the name of the rollout."""
    handlers: dict[str, Handler] = field(default_factory=dict)
    readers: dict[str, dict[str, Handler]] = field(default_factory=dict)
    """READERS by the name of the rollout."""
    people: dict[str, Any] = field(default_factory=dict)
    """Clients of SageMaker with a person's own keys."""
    cloud: HandCloud = field(default_factory=HandCloud)
    world: World = None  # type: ignore[assignment]
    clients: dict[str, Any] = field(default_factory=dict)
    workload: Workload
    wrong: float = 0.0
    """The share of smoke tests that a challenger fails, and of its other calls."""
    unlike: set[str] = field(default_factory=set)
    """Versions that answer otherwise than the others."""
    rollout: str = "live"
    """The name of the present sequence's."""
    worse: float = 0.15
    """The share of looks at a live version by which it is worse than the one before."""

    def client(self, service: str) -> Any:
        """The one client of the service: to make one takes as long as ten calls."""
        if service not in self.clients:
            self.clients[service] = boto3.client(service)
        return self.clients[service]

    @property
    def state(self) -> StateTable:
        return StateTable(self.client("dynamodb"), NAMES)

    def fresh(
        self,
        seed: int,
        rollout: str = "live",
        *,
        definition: Definition | None = None,
        handlers: dict[str, Any] | None = None,
        world: type[World] = World,
    ) -> World:
        """An empty account for one sequence, of a workload with this rollout."""
        for kind in records(self.cloud).kinds.values():
            kind.clear()
        records(self.cloud).tags.clear()
        endpoints(self.cloud).clear()
        self.cloud.part(Versions).clear()
        for backends in (applicationautoscaling_backends, cloudwatch_backends):
            backends[ACCOUNT][REGION].reset()
        dynamodb = self.client("dynamodb")
        for table in TABLES:
            if table in dynamodb.list_tables()["TableNames"]:
                dynamodb.delete_table(TableName=table)
            create_table(dynamodb, table)
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
        self.world = world(
            cloud=self.cloud,
            definition=definition or self.definitions[rollout],
            handlers={**self.handlers, **self.readers[rollout], **(handlers or {})},
            chance=Random(seed),
            approval=self.approval,
            client=self.client,
        )
        self.cloud.chance, self.cloud.later, self.cloud.told = self.world.chance, self.world.later, self.world.told
        self.cloud.luckless = self.wrong = 0.0
        self.unlike.clear()
        self.rollout = rollout
        s3, lake = self.client("s3"), NAMES.platform.bucket("lake")
        for one in s3.list_objects_v2(Bucket=lake).get("Contents", ()):
            s3.delete_object(Bucket=lake, Key=one["Key"])
        self.world.later(1800, self.world.sweep)
        return self.world

    def register(self, *, beside: str) -> Package:
        """A new version, signed as its registration signs it."""
        s3, run = self.client("s3"), f"train-{len(records(self.cloud).of('model-package'))}"
        figures = {"data_digest": "d", "model_digest": "ab12", "baseline_digest": "cd34", "sample_digest": "ef56"}
        metadata = figures | {"beside": beside, ASKED_BY: f"arn:aws:iam::{ACCOUNT}:user/bob"}
        signed = signed_version(NAMES, run=run, members={"model.onnx": "ab" * 32}, metadata=metadata)
        signature = SigningKey(self.client("kms"), NAMES.platform.signing_key_alias).sign(signed.to_statement())
        sample = write_sample({"row": row, "answer": one} for row, one in zip(ROWS, ANSWERS, strict=True))
        for uri, body in (
            (NAMES.run_uri(run, SIGNATURE_FILE), signature),
            (NAMES.run_uri(run, "evaluation", SAMPLE_FILE), sample),
        ):
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        candidate = builders.candidate(run=run, metadata=metadata)
        package, now = self.registry().register(candidate), self.cloud.clock.now()
        if beside == NONE:
            Leases(self.state).take("first", holder=package.arn, as_of=now, expires_at=now.replace(year=now.year + 1))
        return package

    def registry(self, person: str = "") -> Registry:
        client = self.people[person] if person else self.client("sagemaker")
        return Registry(client, group=NAMES.package_group)

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """What the challenger answers, or the live version."""
        name, rows = path.split("/")[2], len(json.loads(body)["rows"])
        if name not in endpoints(self.cloud):
            return 400, b"{}"
        version = self.world.served(name)
        predictions = self.said(version, rows)
        if name == NAMES.challenger and self.world.chance.random() < self.wrong:
            predictions = predictions[:-1]
        return 200, json.dumps({"model_version": version, "predictions": predictions}).encode()

    def said(self, version: str, rows: int) -> list[dict[str, Any]]:
        """What the version answers to so many rows: those of the smoke test are answered as in its evaluation."""
        if rows == len(ROWS):
            return ANSWERS
        return [OTHER if version in self.unlike else ANSWERS[0]] * rows


def declared(rollout: str, to: Path, changes: Mapping[str, str]) -> Path:
    """The workload's folder with this rollout and these changes, below `to`."""
    folder = shutil.copytree(ELECTRICITY, to / rollout / ELECTRICITY.name)
    text = live_at_once((folder / "workload.yaml").read_text())
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    document = yaml.safe_load(text)
    document["rollout"] |= ROLLOUTS[rollout]
    if rollout in WATCHED:
        document["policy"] = POLICY
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    return folder


def defined(rollout: str, machine: Callable[[Context], Definition]) -> Definition:
    """The machine for a workload with this rollout."""
    declared = ROLLOUTS[rollout]
    parts = {"phases": tuple(declared["phases"]), "warm_hours": declared.get("warm_hours", 0)}
    context = context_of("local", rollout=parts)
    return machine(replace(context, settings=replace(context.settings, poll_s=POLL_S)))


@contextmanager
def account(
    approval: str,
    scratch: Path,
    *,
    rollouts: Sequence[str] = tuple(ROLLOUTS),
    machine: Callable[[Context], Definition] = release.definition,
    functions: Sequence[str] = FUNCTIONS,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Account]:
    """An account whose workload may have any of these rollouts.

    `changes` are texts of workload.yaml and what stands in their place."""
    folders = {rollout: declared(rollout, scratch, changes or {}) for rollout in rollouts}
    definitions = {rollout: defined(rollout, machine) for rollout in rollouts}
    made = Account(approval=approval, definitions=definitions, workload=load_workload(folders["live"]))
    with pytest.MonkeyPatch.context() as patch, patching.undone(), mock_aws(), cold_starts() as start:
        set_variables(
            patch,
            MILLRACE_APPROVAL=approval,
            MILLRACE_WORKLOADS=str(folders["live"].parent),
        )
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        cache_lookups()
        make_writes_atomic()
        sign_digests()
        serve(made.cloud)
        serve_executions(lambda: made.world)
        patching.replace(lambda_responses.LambdaResponse, invoke=lambda self: _invoke(made.world, self))
        _make(made)
        with answering(patch, made.answer):
            boto3.setup_default_session()
            boto3.DEFAULT_SESSION.events.register_first(  # type: ignore[union-attr]
                "before-call.*.*", lambda **_: made.world and made.world.before_call()
            )
            interpreter.install(made.cloud, lambda service: made.world if service == "lambda" else made.client(service))
            made.handlers = {name: start(name) for name in functions if name not in READERS}
            for rollout, folder in folders.items():
                patch.setenv("MILLRACE_WORKLOADS", str(folder.parent))
                made.readers[rollout] = {name: start(name) for name in functions if name in READERS}
            if "warm" in rollouts:
                made.readers["warm"]["judge_phase"] = partial(_judge, made, made.readers["warm"]["judge_phase"])
            yield made


def _make(made: Account) -> None:
    iam, s3 = boto3.client("iam"), boto3.client("s3")
    make_role(iam, NAMES.role_arn(MODEL_ROLE).rpartition("/")[2], "sagemaker")
    for person in ("ann", "bob"):
        iam.create_user(UserName=person)
        keys = iam.create_access_key(UserName=person)["AccessKey"]
        made.people[person] = boto3.client(
            "sagemaker", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"]
        )
    for bucket in ("artefacts", "lake", "audit", "landing"):
        s3.create_bucket(Bucket=NAMES.platform.bucket(bucket), CreateBucketConfiguration={"LocationConstraint": REGION})
    create_signing_key(boto3.client("kms"), NAMES.platform)
    boto3.client("events").create_event_bus(Name=NAMES.platform.bus)


def _judge(made: Account, judge: Handler, event: dict[str, Any]) -> dict[str, Any]:
    """What the function answers, but for some looks: there are no labels here."""
    answer = judge(event)
    if answer["answer"] == "not_yet" and made.world.chance.random() < made.worse:
        return answer | {"answer": "stop", "because": "worse by 12 labels"}
    return answer


def _invoke(world: World, response: Any) -> tuple[int, dict[str, str], str]:
    """Lambda's Invoke of type Event: the function runs a little later, and again if it fails."""
    name, event = response.path.rsplit("/", 2)[-2].rpartition("-")[2], json.loads(response.body)
    world.deliver(f"call of {name}", lambda: world.call(name, event, attempts=3))
    return 202, {}, ""
