"""Whether IAM alone decides about what the deployment makes in the Data Catalog, and what to type where it does not."""

import json
import shlex
from typing import Any

import boto3
import pytest

from millrace.console.doctor.checks import Check, check_lake_formation
from tests.console.conftest import DEV, stage_of

ADMIN = {"DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:role/lake"}
EVERYONE = {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
BOTH = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")


pytestmark = pytest.mark.usefixtures("account")


def look() -> Check:
    (check,) = check_lake_formation(stage_of(DEV))
    return check


def switch_off(*names: str) -> None:
    settings = {name: [] if name in names else [EVERYONE] for name in BOTH}
    boto3.client("lakeformation").put_data_lake_settings(DataLakeSettings={"DataLakeAdmins": [ADMIN], **settings})


def database(**given: Any) -> None:
    boto3.client("glue").create_database(DatabaseInput={"Name": "millrace_dev", **given})


def test_a_new_account_is_as_it_must_be() -> None:
    assert (look().verdict, look().advice) == ("ok", "")


@pytest.mark.parametrize("off", [BOTH[:1], BOTH[1:], BOTH])
def test_what_is_switched_off_is_named_with_the_command_that_mends_it(off: tuple[str, ...]) -> None:
    switch_off(*off)
    check = look()
    assert (check.verdict, check.found) == ("missing", f"not in {', '.join(off)}")
    words = shlex.split(check.advice.partition(": ")[2])
    assert words[:-1] == ["aws", "lakeformation", "put-data-lake-settings", "--data-lake-settings"]
    boto3.client("lakeformation").put_data_lake_settings(DataLakeSettings=json.loads(words[-1]))
    assert look().verdict == "ok"
    kept = boto3.client("lakeformation").get_data_lake_settings()["DataLakeSettings"]
    assert kept["DataLakeAdmins"] == [ADMIN], "the command replaces all settings, so it names those that stay"


def test_a_database_that_was_made_before_they_were_switched_off_is_good() -> None:
    """The settings are of what is new: a database keeps those of its own day, and hands them to its tables."""
    database(CreateTableDefaultPermissions=[EVERYONE])
    switch_off(*BOTH)
    assert look().verdict == "ok"


def test_a_database_that_was_made_after_it_needs_grants() -> None:
    """Or has them: they may be of each role, which is not looked at."""
    database(CreateTableDefaultPermissions=[])
    check = look()
    assert (check.verdict, check.found) == ("unknown", "not in CreateTableDefaultPermissions of database millrace_dev")
    words = shlex.split(check.advice.partition(": ")[2])
    assert words[:3] == ["aws", "lakeformation", "grant-permissions"]
    assert json.loads(words[words.index("--resource") + 1]) == {"Database": {"Name": "millrace_dev"}}
