"""AWS's own command line, unchanged: it bootstraps, deploys, updates and destroys in the local cloud.

It assumes the roles that its bootstrap made, and IAM is enforced for them as for every role. The whole app, and the
command line's change sets: `test_cdk_change_sets.py`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.kernel.cloud import ACCOUNT, REGION
from tests.localcloud.cdk_account import ASSETS, INGEST, OLDEST, WAIT_S, Account, account_below, edited, retained
from tests.localcloud.control import control

pytestmark = pytest.mark.night(
    "AWS's own command line, unchanged since its last release; by day the same calls come from our deployment"
)
DIRECT = ("deploy", "--all", "--require-approval", "never", "--method", "direct")
HEAVY_BYTES = 100_000_000


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account_below(tmp_path_factory.mktemp("account")) as account:
        yield account


@pytest.fixture(scope="module")
def assembly(account: Account, assemblies: dict[str, Path]) -> Path:
    """What the app synthesized, with light layers."""
    folder = account.folder / "light"
    lighten(assemblies["local"], folder)
    return folder


def lighten(whole: Path, assembly: Path) -> None:
    """A copy whose heavy layers are empty: the command line takes a dozen seconds to zip them.

    No function that stands on one is called here."""
    shutil.copytree(whole, assembly)
    empty = assembly / "empty"
    (empty / "python").mkdir(parents=True)
    (empty / "python" / "empty.py").touch()
    for path in assembly.glob("*.assets.json"):
        described = json.loads(path.read_text())
        for asset in described["files"].values():
            source = Path(asset["source"]["path"])
            if "layers" in source.parts and sum(one.stat().st_size for one in source.rglob("*")) > HEAVY_BYTES:
                asset["source"]["path"] = empty.name
        path.write_text(json.dumps(described))


def test_a_role_that_is_not_there_is_not_assumed(account: Account) -> None:
    """Upon this answer the command line works with the keys of its caller, as before a bootstrap."""
    with pytest.raises(Exception, match=r"AccessDenied.*not authorized to perform: sts:AssumeRole"):
        account.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="nobody")


def test_bootstrapped_by_the_command_line(account: Account, assembly: Path) -> None:
    account.cdk("bootstrap", "--app", str(assembly))
    assert account.stacks() == {"CDKToolkit": "CREATE_COMPLETE"}
    outputs = account.client("cloudformation").describe_stacks()["Stacks"][0]["Outputs"]
    told = {one["OutputKey"]: one["OutputValue"] for one in outputs}
    version = account.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")["Parameter"]["Value"]
    assert (told["BucketName"], told["BootstrapVersion"]) == (ASSETS, version)
    rules = account.client("s3").get_bucket_encryption(Bucket=ASSETS)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


def test_deployed_by_the_command_line_a_function_answers(account: Account, assembly: Path) -> None:
    account.cdk(*DIRECT, "--app", str(assembly))
    stacks = account.stacks()
    templates = {path.name.removesuffix(".template.json") for path in assembly.glob("*.template.json")}
    assert stacks == dict.fromkeys(templates | {"CDKToolkit"}, "CREATE_COMPLETE")
    assert account.answer()["error"] == "number of rows"


def test_the_roles_of_the_bootstrap_did_it_and_were_refused_nothing(account: Account) -> None:
    calls = control(account.endpoint_url, "api-calls", secret=account.secret)
    made = {name: count - calls["of_people"].get(name, 0) for name, count in calls["by_operation"].items()}
    assert made["cloudformation:CreateStack"] == len(account.stacks()) - 1
    assert made["s3:PutObject"] > 0
    assert control(account.endpoint_url, "denials", secret=account.secret) == []


def test_a_changed_machine_function_and_alarm_are_in_effect(account: Account, assembly: Path) -> None:
    account.cdk(*DIRECT, "--app", str(edited(assembly, account.folder / "edited")))
    updated = {name for name, status in account.stacks().items() if status == "UPDATE_COMPLETE"}
    assert updated == {f"millrace-local-electricity-{room}" for room in ("ingestion", "serving", "monitoring")}
    assert account.answer()["error"] == "new code"
    assert account.run(INGEST) == '"the new definition"'
    assert states_until(account, OLDEST, 3, "OK") == ["OK"], "below the new threshold, and far below the old one"
    assert states_until(account, OLDEST, 7, "ALARM") == ["OK", "ALARM"], "above the new threshold only"


def states_until(account: Account, alarm: str, value: float, expected: str) -> list[str]:
    """The alarm's states, from the moment before `value` is put until `expected` or until the time is over.

    An update resets an alarm, so it may be evaluated once more, without data, before the value is there.
    """
    cloudwatch = account.client("cloudwatch")
    (now,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    states = [str(now["StateValue"])]
    metric = now["Metrics"][0]["MetricStat"]["Metric"]
    datum = {"MetricName": metric["MetricName"], "Dimensions": metric["Dimensions"], "Value": value}
    cloudwatch.put_metric_data(Namespace=metric["Namespace"], MetricData=[datum])
    end = time.monotonic() + WAIT_S
    while states[-1] != expected and time.monotonic() < end:
        (now,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        if now["StateValue"] != states[-1]:
            states.append(str(now["StateValue"]))
        time.sleep(0.02)
    return states


def left(account: Account) -> dict[str, list[str]]:
    """What there is, by kind."""
    return {
        "stacks": sorted(account.stacks()),
        "functions": names(account, "lambda", "list_functions", "Functions", "FunctionName"),
        "layers": names(account, "lambda", "list_layers", "Layers", "LayerName"),
        "machines": names(account, "stepfunctions", "list_state_machines", "stateMachines", "name"),
        "alarms": names(account, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "rules": names(account, "events", "list_rules", "Rules", "Name"),
        "buses": names(account, "events", "list_event_buses", "EventBuses", "Name"),
        "schedules": names(account, "scheduler", "list_schedules", "Schedules", "Name"),
        "topics": names(account, "sns", "list_topics", "Topics", "TopicArn"),
        "queues": list(account.client("sqs").list_queues().get("QueueUrls", [])),
        "tables": sorted(account.client("dynamodb").list_tables()["TableNames"]),
        "databases": names(account, "glue", "get_databases", "DatabaseList", "Name"),
        "buckets": names(account, "s3", "list_buckets", "Buckets", "Name"),
        "roles": names(account, "iam", "list_roles", "Roles", "RoleName"),
        "repositories": names(account, "ecr", "describe_repositories", "repositories", "repositoryName"),
    }


def names(account: Account, service: str, operation: str, members: str, name: str) -> list[str]:
    return sorted(one[name] for one in getattr(account.client(service), operation)()[members])


def test_destroyed_by_the_command_line_only_the_data_is_left(account: Account, assembly: Path) -> None:
    before = left(account)
    assert all(before.values()), "deployed by the tests before"
    account.cdk("destroy", "--all", "--force", "--app", str(assembly))
    roles = [role for role in before["roles"] if role.startswith("cdk-hnb659fds-")]
    assert len(roles) == 5
    assert {kind: found for kind, found in left(account).items() if found} == {
        "stacks": ["CDKToolkit"],
        "buses": ["default"],
        "buckets": [ASSETS, *retained(assembly, "AWS::S3::Bucket", "BucketName")],
        "tables": retained(assembly, "AWS::DynamoDB::Table", "TableName"),
        "roles": roles,
        "repositories": [f"cdk-hnb659fds-container-assets-{ACCOUNT}-{REGION}"],
    }
