"""The whole app by the CDK's own default method, change sets: created, compared, updated, refused, destroyed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localcloud.cdk_account import ASSETS, INGEST, Account, Copy, account_below, edited, retained
from tests.localcloud.control import control

pytestmark = pytest.mark.night("by day change sets are tested by themselves")

DEPLOY = ("deploy", "--all", "--require-approval", "never")
INGESTION = "millrace-local-electricity-ingestion"
MONITORING = "millrace-local-electricity-monitoring"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account_below(tmp_path_factory.mktemp("account")) as account:
        account.bootstrap()
        yield account


@pytest.fixture(scope="module")
def changed(account: Account) -> Path:
    return edited(account.whole, account.folder / "edited")


def test_every_stack_is_made_by_a_change_set(account: Account) -> None:
    account.cdk(*DEPLOY, "--app", str(account.whole))
    assert set(account.stacks().values()) == {"CREATE_COMPLETE"}
    assert account.answer()["error"] == "number of rows"
    # The roles of the bootstrap did it: IAM is enforced for them as for every role.
    assert control(account.endpoint_url, "denials", secret=account.secret) == []


def test_what_differs_is_told_by_a_change_set(account: Account, changed: Path) -> None:
    told = account.cdk("diff", "millrace-local-electricity-monitoring", "--app", str(changed))
    assert re.search(r"\[~\] AWS::CloudWatch::Alarm \S*oldest-drop-alarm", told)
    assert "Number of stacks with differences: 1" in told
    assert told.count("[~] AWS::") == 1


def test_only_what_changed_is_updated(account: Account, changed: Path) -> None:
    told = account.cdk(*DEPLOY, "--app", str(changed))
    assert told.count("(no changes)") == len(account.stacks()) - 1 - 3
    assert account.answer()["error"] == "new code"
    assert account.run(INGEST) == '"the new definition"'


def test_the_next_change_set_takes_it_back(account: Account) -> None:
    account.cdk(*DEPLOY, "--app", str(account.whole))
    assert account.answer()["error"] == "number of rows"
    described = account.client("stepfunctions").describe_state_machine(stateMachineArn=INGEST)
    assert json.loads(described["definition"])["StartAt"] == "Ingestion"


def test_what_is_switched_off_by_hand_is_on_again(account: Account) -> None:
    """By `--revert-drift`; a deployment of what is deployed already changes nothing."""
    functions, deploy = account.client("lambda"), (INGESTION, "--exclusively", "--require-approval", "never")
    intake = {"FunctionName": "millrace-local-electricity-intake"}
    (mapping,) = functions.list_event_source_mappings(**intake)["EventSourceMappings"]

    def state() -> str:
        return str(functions.get_event_source_mapping(UUID=mapping["UUID"])["State"])

    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    account.cdk("deploy", *deploy, "--app", str(account.whole))
    assert state() == "Disabled"
    account.cdk("deploy", *deploy, "--revert-drift", "--app", str(account.whole))
    assert state() == "Enabled"


def test_a_deployment_that_fails_is_told_with_its_reason(account: Account) -> None:
    copy = Copy(folder=account.folder / "wrong")
    shutil.copytree(account.whole, copy.folder)
    copy.edit(MONITORING, '"AWS::Budgets::Budget"', '"AWS::CloudWatch::Alarm"')
    done = account.try_cdk(
        "deploy", MONITORING, "--exclusively", "--require-approval", "never", "--app", str(copy.folder)
    )
    assert done.returncode == 1
    assert "the API has no member 'Budget'" in done.stdout + done.stderr
    assert account.stacks()[MONITORING] == "UPDATE_ROLLBACK_COMPLETE"
    assert account.answer()["error"] == "number of rows"


def test_the_whole_is_destroyed(account: Account) -> None:
    account.cdk("destroy", "--all", "--force", "--app", str(account.whole))
    assert set(account.stacks()) == {"CDKToolkit"}
    buckets = [one["Name"] for one in account.client("s3").list_buckets()["Buckets"]]
    assert sorted(buckets) == sorted([ASSETS, *retained(account.whole, "AWS::S3::Bucket", "BucketName")])
    assert account.client("lambda").list_functions()["Functions"] == []
