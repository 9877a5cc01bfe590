"""Every role may do what it needs and nothing else: each permission was asked for, or stands below with its reason.

The cloud has written down what it allowed in the fourteen months and in the tests that broke it. A permission counts as
needed when a request was allowed that would have been refused without it, by the same decision that was taken then."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from localcloud.iam.recording import Allowed
from tests.end_to_end.conftest import Lived, States
from tests.end_to_end.test_loop import READING
from tests.localcloud.iam.grants import Grant, grants, needed, refusal, without_statement

pytestmark = pytest.mark.night("by day each story runs under its rights; which none uses is known when all have run")


@dataclass(frozen=True)
class Reason:
    """Why permissions are there that the fourteen months do not ask for."""

    owners: str
    """Patterns of the roles' names behind `millrace-<stage>-<workload>-`; of a role of all workloads, of the whole."""
    named: str
    resource: str
    """A pattern of what they are allowed on."""
    because: str
    source: str = ""
    """AWS's page that says so; or the file of this folder that makes it so: if that ran before, they were needed."""

    @property
    def roles(self) -> list[str]:
        return self.owners.split()

    @property
    def actions(self) -> list[str]:
        return self.named.split()

    def __str__(self) -> str:
        return f"{self.roles[0]} {self.actions[0]} {self.resource}"


ON_AWS = [Reason(*row) for row in (
    ("*", "xray:PutTelemetryRecords xray:PutTraceSegments", "*", "the local cloud traces nothing",
     "https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"),
    ("*-machines", "xray:GetSamplingRules xray:GetSamplingTargets", "*", "the local cloud traces nothing",
     "https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html"),
    ("*-machines", "sagemaker:ListTags", "[*]",
     "Step Functions looks for the jobs that it waits for; when, it does not say",
     "https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html"),
    ("model", "s3:ListBucket", "*-artefacts-*", "SageMaker asks for the list of every bucket that it reads from",
     "https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"),
    ("release-machines", "cloudwatch:DeleteAlarms cloudwatch:PutMetricAlarm", "*:alarm:TargetTracking-*",
     "target tracking keeps its alarms in the name of who puts the policy",
     "https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html"),
    ("release-machines", "cloudwatch:DescribeAlarms", "*",
     "SageMaker and Auto Scaling look at the alarms that they are to obey",
     "https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html"),
    ("release-machines", "sagemaker:UpdateEndpointWeightsAndCapacities", "*",
     "Auto Scaling may change the count of the variant that is registered, for who registers it",
     "https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html"),
    ("*mover", "cloudwatch:DescribeAlarms lambda:GetAlias lambda:GetProvisionedConcurrencyConfig lambda:UpdateAlias",
     "*", "the local cloud moves an alias at once, without CodeDeploy",
     "https://docs.aws.amazon.com/codedeploy/latest/userguide/getting-started-create-service-role.html"),
    ("registration", "ecr:BatchGetImage ecr:DescribeImages", "*",
     "the registry looks at the image of a version in the name of who registers it",
     "https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-version.html"),
    ("release-machines", "iam:CreateServiceLinkedRole", "*", "asked once in an account, with its first scalable target",
     "https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html"),
)]  # fmt: skip
"""What only AWS asks for."""

SELDOM = [Reason(*row) for row in (
    ("ingestion-machines", "dynamodb:Query", "*:table/*-state",
     "drops that have waited for a slot for a minute look whether one is held for nothing"),
    ("teardown-machines", "sagemaker:ListTags", "*:processing-job/*",
     "a processing job runs at the moment of the teardown"),
    ("teardown-machines", "sagemaker:ListTags", "*:transform-job/*",
     "a transform job runs at the moment of the teardown"),
    ("*", "sqs:SendMessage", "*-dead",
     "a dead letter: of a function that failed thrice, of a schedule that was refused, of no drop, of an event that "
     "the bus did not take from a machine"),
    ("prediction", "dynamodb:DeleteItem", "*", "a request with a key was refused, which a repetition may not be"),
    ("*-audit_chain", "s3:GetObjectVersion", "*", "the function started anew, and the newest link is not its own"),
    ("training",
     "dynamodb:DeleteItem sagemaker:DeleteEndpoint sagemaker:DescribeEndpoint cloudwatch:DescribeAlarms "
     "cloudwatch:DeleteAlarms", "*",
     "a release failed and left a challenger, an endpoint or alarms, or a holder has no execution"),
    ("training", "sagemaker:ListModelPackages sagemaker:DescribeModelPackage events:PutEvents", "*",
     "an endpoint is there and no version is known to be live: it goes only if none ever was. If it stays, or AWS "
     "lost the event of a failure, somebody is told"),
    ("training", "states:ListExecutions lambda:InvokeFunction", "*",
     "the schedule of the sweep is off in the stage `local`", "test_sweep.py"),
    ("training", "logs:CreateLogStream logs:PutLogEvents", "*-sweep:*",
     "the schedule of the sweep is off in the stage `local`", "test_sweep.py"),
    ("training", "dynamodb:Query", "*-audit", "the sweep counts the records that have no link of the chain yet",
     "test_sweep.py"),
    ("training", "states:StartExecution sagemaker:DescribeEndpointConfig", "*",
     "a release ended, and the next version waits for one, or what it left is looked at", "test_release_rollback.py"),
    ("validation", "dynamodb:PutItem dynamodb:Query", "*-state",
     "labels contradict known ones: those of the day are counted"),
    ("validation", "s3:DeleteObject", "*_labels/metadata/*", "a later version of a file of labels took its place"),
    ("release", "events:PutEvents", "*:event-bus/*", "a model of an older version could not be deleted"),
    ("ingestion", "events:PutEvents", "*:event-bus/*", "a drop has other columns than its contract: schema.drifted"),
    ("upkeep", "dynamodb:PutItem", "*-audit", "a person takes a drop back", "test_withdrawal.py"),
    ("upkeep", "logs:CreateLogStream logs:PutLogEvents", "*-withdrawal:*", "as above", "test_withdrawal.py"),
    ("erasure",
     "dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query glue:GetTable glue:UpdateTable kms:Decrypt "
     "kms:GenerateDataKey s3:DeleteObject s3:DeleteObjectVersion s3:GetObject s3:GetObjectVersion "
     "s3:ListBucketVersions s3:PutObject", "*", "nobody stands in a key of this workload; in that of test_erasure.py"),
    ("training-machines", "lambda:InvokeFunction", "*-sweep", "the schedule of the sweep is off in the stage `local`",
     "test_sweep.py"),
    ("release", "glue:GetTable s3:GetObject", "*",
     "a phase asked for labels (test_climb.py), or copied a row of a scored file or with an image"),
    ("release", "states:StopExecution", "*",
     "a person brought the version before back while another one climbed: test_canary.py has it"),
    ("release", "sagemaker:DeleteEndpoint", "*", "an endpoint failed: it can be neither used nor updated"),
    ("release-machines", "sagemaker:UpdateEndpoint", "*-challenger",
     "a release before this one was cut short, and its challenger stands"),
    ("release-machines", "application-autoscaling:DeregisterScalableTarget", "*",
     "a release changed the instance type of the live endpoint", "test_release_rollback.py"),
    ("release", "sagemaker:DeleteEndpointConfig sagemaker:DeleteModel", "*",
     "a third version was released, so the first one's model went", "test_release_rollback.py"),
    ("training", "application-autoscaling:DescribeScalableTargets", "*",
     "a release failed, and the live endpoint may have lost its scaling", "test_release_rollback.py"),
    ("training", "s3:ListBucketVersions", "*",
     "records of hours ago have no link of the chain yet, and what the chain counted is looked at again"),
    ("training", "states:DescribeExecution", "*", "an execution of any machine may have ended without an event"),
    ("release", "cloudtrail:LookupEvents states:DescribeExecution", "*",
     "a person asked for a release: who it was is looked up", "test_release_rollback.py"),
    ("validation", "s3:GetObject", "*/predictions/*", "labels came for rows of a scored file"),
    ("monitoring", "states:StartExecution", "*-ingest",
     "labels came before their decisions, and are read again when these are stored"),
    ("monitoring", "events:PutEvents", "*", "rows or labels are late"),
    ("prediction", "dynamodb:PutItem dynamodb:UpdateItem", "*",
     "the endpoint failed five times in a row, and the circuit opens"),
    ("*", "s3:PutObject", "*/quarantine/feed=*",
     "rows or whole files that are refused, for each feed and at each step"),
    ("tables snapshot", "s3:DeleteObject", "*/metadata/*",
     "a commit that lost against another takes its manifests away"),
    ("snapshot", "dynamodb:PutItem", "*-audit",
     "a training found corrected labels, and whether they hold it is audited"),
    ("upkeep", "glue:UpdateTable s3:PutObject s3:DeleteObject kms:GenerateDataKey", "*",
     "fifty small files, snapshots older than a week, a file that none names: test_upkeep.py has the first"),
    ("upkeep", "s3:GetObject", "*/decisions/*",
     "lines of decisions on one day came in four objects or more: test_upkeep.py has them"),
    ("ingestion-machines", "sqs:SendMessage", "*-drops", "a drop found no free slot, and is sent again later"),
    ("ingestion-machines", "kms:GenerateDataKey", "*", "such a drop is sent again, and its queue is under the key"),
    ("ingestion-machines", "states:DescribeExecution", "*", "the event of a drop came twice", "test_refusals.py"),
    ("*-machines",
     "sagemaker:StopTrainingJob sagemaker:StopProcessingJob sagemaker:StopTransformJob states:StopExecution", "*",
     "a person stopped the execution while it waited for a job or another execution"),
    ("teardown-machines",
     "states:StopExecution sagemaker:StopTrainingJob sagemaker:StopProcessingJob sagemaker:StopTransformJob", "*",
     "the teardown found it running"),
    ("teardown-machines", "sagemaker:DeleteEndpoint cloudwatch:DeleteAlarms", "*",
     "the teardown found a challenger, or alarms of target tracking"),
    ("ingestion", "s3:ListBucket", "*-landing-*", "a person had the newest drop scored, without naming it",
     "test_refusals.py"),
    ("ingestion", "s3:GetObject", "*-landing-*/scoring/*", "the same, and its object is read as it is now",
     "test_refusals.py"),
    ("ingestion", "s3:GetObject", "*-landing-*/[lt]*",
     "a query found many small files, whose list is the drop: test_queries.py has it"),
    ("ingestion-machines", "sqs:SendMessage", "*-drops-dead", "a message in the queue of the drops was none",
     "test_refusals.py"),
    ("training", "sqs:SendMessage", "*", "called asynchronously, the function failed thrice", "test_refusals.py"),
    ("job", "s3:GetObject s3:PutObject", "*/checkpoints/*",
     "a training took longer than a minute, and went on from its checkpoint"),
    ("job", "s3:GetObject", "*/external/*", "a person had an external model judged", "test_external_model.py"),
    ("monitoring-machines", "sqs:SendMessage", "*", "the schedule was refused its target", "test_refusals.py"),
    ("ingestion", "s3:PutObject", "*/quarantine/feed=*", "a file of labels or of training rows that is none",
     "test_refusals.py"),
)]  # fmt: skip
"""What is asked for only when something goes wrong."""

AT_WORK_IN = {"teardown-machines": "test_teardown.py", "erasure": "test_withdrawal.py"}
"""Roles that do nothing before a test of this folder lets them; without it nothing is said of them."""


def ran(file: str, request: pytest.FixtureRequest) -> bool:
    """Whether a file of this folder is among those that are run."""
    path = Path(__file__).with_name(file)
    assert path.exists()
    return any(item.path == path for item in request.session.items)


@pytest.fixture(scope="module")
def policies(lived: Lived, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The policy of each role that had occasion to work."""
    idle = {lived.names.role(owner) for owner, file in AT_WORK_IN.items() if not ran(file, request)}
    assert set(map(lived.names.role, AT_WORK_IN)) <= set(lived.policies)
    return {role: policy for role, policy in lived.policies.items() if role not in idle}


@pytest.fixture(scope="module")
def allowed(lived: Lived, states: States) -> dict[str, list[Allowed]]:
    """What was allowed in the fourteen months and in the files that were run before, by role."""
    found: dict[str, list[Allowed]] = defaultdict(list)
    for one in states.allowed:
        found[one.role].append(one)
    return found


@dataclass(frozen=True, kw_only=True)
class Held:
    """One permission of one role."""

    role: str
    grant: Grant

    def __str__(self) -> str:
        return f"{self.role} [{self.grant.statement}] {self.grant.action} on {self.grant.resource}"


def all_held(policies: Mapping[str, Mapping[str, Any]]) -> Iterator[Held]:
    for role, policy in policies.items():
        yield from (Held(role=role, grant=grant) for grant in grants(policy))


@pytest.fixture(scope="module")
def idle(policies: dict[str, dict[str, Any]], allowed: dict[str, list[Allowed]]) -> set[Held]:
    """The permissions that no request needed."""
    return {
        held
        for held in all_held(policies)
        if needed(held.grant, policies[held.role], (one.case for one in allowed.get(held.role, ()))) is None
    }


def is_of(entry: Reason, held: Held, lived: Lived) -> bool:
    owner = held.role.removeprefix(f"{lived.names.prefix}-")
    return (
        any(fnmatchcase(owner, pattern) for pattern in entry.roles)
        and held.grant.action in entry.actions
        and fnmatchcase(held.grant.resource, entry.resource)
    )


def test_every_permission_was_needed_or_has_its_reason(lived: Lived, idle: set[Held]) -> None:
    """Action by action and resource by resource, of every statement of every role."""
    unexplained = [held for held in idle if not any(is_of(entry, held, lived) for entry in (*ON_AWS, *SELDOM))]
    assert not unexplained, "\n".join(sorted(map(str, unexplained)))


@pytest.mark.parametrize("entry", ON_AWS, ids=str)
def test_what_only_aws_asks_for_is_there_and_not_asked_here(
    lived: Lived, policies: dict[str, dict[str, Any]], idle: set[Held], entry: Reason
) -> None:
    """A reason whose permission has gone, or is asked for by now, goes too."""
    held = [one for one in all_held(policies) if is_of(entry, one, lived)]
    assert {one.grant.action for one in held} == set(entry.actions)
    assert set(held) <= idle, f"asked for by now: {sorted(map(str, set(held) - idle))}"


@pytest.mark.parametrize("entry", SELDOM, ids=str)
def test_what_failures_ask_for_was_asked_for_when_they_came(
    lived: Lived, idle: set[Held], entry: Reason, request: pytest.FixtureRequest
) -> None:
    held = {one for one in all_held(lived.policies) if is_of(entry, one, lived)}
    assert {one.grant.action for one in held} == set(entry.actions)
    if entry.source and ran(entry.source, request):
        assert not held & idle, "\n".join(sorted(map(str, held & idle)))


def test_each_statement_was_the_reason_of_an_allowed_call(
    policies: dict[str, dict[str, Any]], allowed: dict[str, list[Allowed]], idle: set[Held]
) -> None:
    """The whole statement taken away, the call that was allowed is refused, in AWS's words for a refusal."""
    count = 0
    for role, policy in policies.items():
        busy = {held.grant.statement for held in set(all_held({role: policy})) - idle}
        for place in sorted(busy):
            less = without_statement(policy, place)
            actions = {action.lower() for action in policy["Statement"][place]["Action"]}
            asked = (one.case for one in allowed[role] if one.case.request.action.lower() in actions)
            reasons = (refusal(case, less) for case in asked if refusal(case, policy) is None)
            reason = next((reason for reason in reasons if reason), "")
            assert "policy allows the" in reason, f"{role} [{place}]: {policy['Statement'][place]}"
            count += 1
    assert count > 150


def test_every_role_was_at_work(
    lived: Lived, policies: dict[str, dict[str, Any]], allowed: dict[str, list[Allowed]]
) -> None:
    """Those of machines, rules, schedules, jobs and models as well as those of functions."""
    here = {held.role for held in all_held(policies) if not any(is_of(entry, held, lived) for entry in ON_AWS)}
    assert [role for role in here if not allowed.get(role)] == []


def test_no_process_has_keys_but_those_of_its_role(lived: Lived, states: States) -> None:
    """What the cloud starts sees its role's temporary keys or none, and no other way to credentials."""
    started = states.started
    assert wrong_environments(started, below=lived.build) == []
    keyed = [one for one in started if "AWS_ACCESS_KEY_ID" in one["environment"]]
    assert {"function_main.py" in " ".join(one["arguments"]) for one in keyed} == {True}
    assert {"function_main.py" in " ".join(one["arguments"]) for one in started if one not in keyed} == {False}
    assert len(keyed) > 20
    assert len(started) > len(keyed)


WAYS_TO_CREDENTIALS = (
    "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
)  # fmt: skip


def wrong_environments(started: list[dict[str, Any]], *, below: Path) -> list[str]:
    """What stands in the environment of a process that should not; its home, if any, lies `below` the cloud's own."""
    wrong = []
    for one in started:
        given, name = one["environment"], one["arguments"][-1]
        key = given.get("AWS_ACCESS_KEY_ID")
        if key is not None and not (key.startswith("ASIA") and given.get("AWS_SESSION_TOKEN")):
            wrong.append(f"{name}: AWS_ACCESS_KEY_ID {key}")
        wrong += [f"{name}: {variable}" for variable in WAYS_TO_CREDENTIALS if variable in given]
        if not Path(given.get("HOME", below)).is_relative_to(below):
            wrong.append(f"{name}: HOME {given['HOME']}")
        if key and given.get("AWS_EC2_METADATA_DISABLED") != "true":
            wrong.append(f"{name}: the instance's own credentials")
    return wrong


def test_only_people_call_without_a_role(lived: Lived) -> None:
    """In the fourteen months: what the driver drops and asks, and what it and the tests' witness read."""
    of_people = set(lived.calls_of_people)
    changing = {"s3:PutObject", "lambda:Invoke"}
    assert changing <= of_people
    reading = {name for name in of_people - changing if name.partition(":")[2].startswith(READING)}
    assert of_people - changing - reading == {"sqs:ReceiveMessage", "sqs:DeleteMessageBatch"}


def test_policies_speak_of_no_other_account(lived: Lived) -> None:
    """Nor of a principal or an action by wildcard."""
    for role, policy in lived.policies.items():
        text = json.dumps(policy)
        assert not [one for one in text.split('"') if one.startswith("arn:aws:") and one.split(":")[4] not in
                    ("", lived.names.platform.account)], role  # fmt: skip
        assert not [grant for grant in grants(policy) if "*" in grant.action], role
