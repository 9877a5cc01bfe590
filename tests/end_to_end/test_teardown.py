"""The end: an environment in which everything was made is torn down, nothing that costs is left, data and audit are.

These come last of all: afterwards the cloud is of no use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from millrace.console.actions.teardown import JOB_LOGS, left, teardown
from millrace.console.actions.tune import tune
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.queries.tunings import pinned_run
from millrace.errors import RunError
from millrace.workload.load import load_workload, workloads_folder
from millrace.workload.tuning import Tuning
from tests.alarm import put_alarm
from tests.end_to_end.callers import less_of
from tests.end_to_end.conftest import Lived
from tests.end_to_end.inventory import OF_MACHINES, OF_STACKS, PARTS, RETAINED, delete_stacks
from tests.localcloud.waiting import until

MAIL_LOG = "/local/mail"
"""Where the local cloud writes the mails of subscriptions."""
POLL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What there was of which kind, at each point of the end."""

    before: dict[str, list[str]]
    """While everything was there."""
    refusal: str
    """What the operator was told when a right was missing."""
    lines: list[str]
    """What the operator was told in the end."""
    after_machine: dict[str, list[str]]
    after_stacks: dict[str, list[str]]


@pytest.fixture(scope="module")
def ended(lived: Lived) -> Ended:
    cloud, place = lived.cloud, local_environment(lived.cloud)
    lived.rest()
    # An alarm as a release leaves it behind that is ended between its making and its deletion.
    on_errors(cloud, f"{lived.names.prefix}-v9-0-0-live-errors", lived.names.endpoint)
    start_training(lived)
    start_tuning(lived)
    before = everything(cloud)
    lines: list[str] = []
    with a_right_missing(lived, "sagemaker:DeleteEndpoint"), pytest.raises(RunError) as refused:
        teardown(place, said=lines.append, poll_s=POLL_S)
    redrive(lived, str(refused.value).partition(": ")[0])
    lines.clear()
    teardown(place, said=lines.append, poll_s=POLL_S)
    after_machine = everything(cloud)
    delete_stacks(cloud)
    return Ended(
        before=before,
        refusal=str(refused.value),
        lines=lines,
        after_machine=after_machine,
        after_stacks=everything(cloud),
    )


def everything(cloud: LocalCloud) -> dict[str, list[str]]:
    listers = {**OF_MACHINES, **OF_STACKS, **RETAINED}
    return {kind: [name for name in names(cloud.client) if "witness" not in name] for kind, names in listers.items()}


def on_errors(cloud: LocalCloud, alarm: str, endpoint: str) -> None:
    put_alarm(
        cloud.client("cloudwatch"),
        alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}],
        TreatMissingData="notBreaching",
    )


def start_training(lived: Lived) -> None:
    """By hand, until its job runs: the teardown comes in the middle."""
    states = lived.cloud.client("stepfunctions")
    states.start_execution(stateMachineArn=lived.names.machine_arn("train"), input="{}")
    until(lambda: bool(OF_MACHINES["job"](lived.cloud.client)))


def start_tuning(lived: Lived) -> None:
    """By hand, until its first training runs; stopped alone, that one would be followed by the next."""
    folder = workloads_folder() / lived.names.workload
    searched = {"parameters": {"epochs": {"min": 100, "max": 200}}, "max_jobs": 20, "budget_usd": 100}
    workload = load_workload(folder).model_copy(update={"tuning": Tuning.model_validate(searched)})
    workload = workload.model_copy(update={"budget": workload.budget.model_copy(update={"monthly_usd": 1000})})
    place = local_environment(lived.cloud)
    name = tune(place, lived.names, workload, folder=folder, source=pinned_run(place, lived.names)).name
    until(lambda: any(one.startswith(name) for one in OF_MACHINES["job"](lived.cloud.client)))


@contextmanager
def a_right_missing(lived: Lived, action: str) -> Iterator[None]:
    """In the block, the role of the teardown function lacks an action."""
    iam, role = lived.cloud.client("iam"), lived.names.role("teardown-machines")
    policy = "statements"
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(less_of(document, action)))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def redrive(lived: Lived, execution: str) -> None:
    states = lived.cloud.client("stepfunctions")
    states.redrive_execution(executionArn=execution)
    until(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING")
    assert states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"


def empty(kinds: dict[str, list[str]], *wanted: str) -> dict[str, list[str]]:
    return {kind: kinds[kind] for kind in wanted if kinds[kind]}


def test_everything_was_there(ended: Ended) -> None:
    """The control: a kind that was never seen cannot be missed."""
    assert [kind for kind, names in ended.before.items() if not names] == []
    assert any("-challenger" not in name for name in ended.before["endpoint"])


def test_every_type_of_the_templates_is_looked_for(lived: Lived) -> None:
    templates = (lived.build / "cdk.out").glob("*.template.json")
    used = {one["Type"] for path in templates for one in json.loads(path.read_text())["Resources"].values()}
    assert used - set(OF_STACKS) - set(RETAINED) - set(PARTS) == set()


def test_the_machine_leaves_nothing_that_no_template_knows(ended: Ended) -> None:
    assert empty(ended.after_machine, *OF_MACHINES) == {}


def test_without_a_right_it_stops_and_a_redrive_goes_on(ended: Ended) -> None:
    assert "AccessDenied" in ended.refusal
    assert "sagemaker:DeleteEndpoint" in ended.refusal


def test_a_second_time_there_is_nothing_to_do(ended: Ended) -> None:
    """The last call came after the redriven one had taken everything."""
    assert not [line for line in ended.lines if line.startswith("electricity: ")]
    assert any(line.startswith("to destroy the stacks: cdk destroy --all") for line in ended.lines)


def test_the_stacks_leave_nothing_but_what_is_retained(ended: Ended) -> None:
    found = empty(ended.after_stacks, *OF_STACKS, *OF_MACHINES)
    logs = {*JOB_LOGS, MAIL_LOG}
    assert set(found.pop("AWS::Logs::LogGroup", [])) <= logs, "the account's, not ours"
    layers = found.pop("AWS::Lambda::LayerVersion")
    assert all(one.startswith(f"{PLATFORM.prefix}-") for one in layers), "a rollback may need them; they cost nothing"
    assert found == {"AWS::KMS::Alias": [PLATFORM.signing_key_alias]}, "old signatures are verified by it"
    buckets = [name for name in ended.after_stacks["AWS::S3::Bucket"] if not name.startswith("cdk-")]
    purposes = ("access-logs", "artefacts", "audit", "lake", "landing")
    assert sorted(buckets) == [PLATFORM.bucket(purpose) for purpose in purposes]
    assert ended.after_stacks["AWS::DynamoDB::Table"] == [PLATFORM.audit_table, PLATFORM.state_table]
    assert len(ended.after_stacks["AWS::KMS::Key"]) == len(ended.before["AWS::KMS::Key"])


def test_what_is_left_is_told_with_its_price(ended: Ended, lived: Lived) -> None:
    told = {one.what.split()[0] for one in left(local_environment(lived.cloud))}
    assert told == {"bucket", "table", "customer", "signing", "log"}
    assert all("USD" in line for line in ended.lines if line.startswith("left: "))
    logs = [name for name in ended.before["AWS::Logs::LogGroup"] if name in JOB_LOGS]
    assert len([line for line in ended.lines if line.startswith("left: ")]) == 9 + len(logs)
