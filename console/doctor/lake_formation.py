"""Whether IAM alone decides about the Glue database and tables of the deployment.

An account may let Lake Formation decide too. Then Glue refuses every call of our roles until Lake Formation grants them
access as well: https://docs.aws.amazon.com/lake-formation/latest/dg/change-settings.html"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from millrace.console.doctor.check import Check
from millrace.console.environment import Environment

EVERYONE = "IAM_ALLOWED_PRINCIPALS"
"""Lake Formation's group of all principals whom IAM lets in."""
GRANT = {"Principal": {"DataLakePrincipalIdentifier": EVERYONE}, "Permissions": ["ALL"]}
"""The entry of the settings by which IAM alone decides."""
OF_TABLES = "CreateTableDefaultPermissions"
"""The setting for new tables of a database."""
DEFAULTS = ("CreateDatabaseDefaultPermissions", OF_TABLES)
"""The account's settings for new databases and new tables."""
BY_WHOM = "as an administrator of Lake Formation"


def check_lake_formation(environment: Environment) -> Iterator[Check]:
    """The check of the database if the stage is deployed, else of the account's settings for new databases.

    The account's settings apply only to what is made later; a database that exists keeps its own."""
    name, glue = environment.platform.database, environment.client("glue")
    try:
        database = glue.get_database(Name=name)["Database"]
    except glue.exceptions.EntityNotFoundException:
        yield _of_account(environment.client("lakeformation").get_data_lake_settings()["DataLakeSettings"])
    else:
        yield _of_database(name, database)


def _of_account(settings: Mapping[str, Any]) -> Check:
    """The check of the account's settings, with a command that changes them."""
    off = [default for default in DEFAULTS if not _lets_in(settings, default)]
    # The call replaces all settings of the account, so the present ones are repeated in it.
    whole = json.dumps({**settings, **{default: [GRANT] for default in DEFAULTS}})
    command = f"aws lakeformation put-data-lake-settings --data-lake-settings {shlex.quote(whole)}"
    return Check(
        name="Lake Formation",
        needed=f"{EVERYONE} by default",
        found=f"not in {', '.join(off)}" if off else "as needed",
        verdict="missing" if off else "ok",
        advice=f"{BY_WHOM}, until the stage is deployed: {command}" if off else "",
    )


def _of_database(name: str, database: Mapping[str, Any]) -> Check:
    """The check of a database. `unknown` if IAM alone does not decide: roles may have been granted access one by one,
    which is not looked at."""
    # What counts are the defaults for the tables that are made in this database.
    is_good = _lets_in(database, OF_TABLES)
    grant = (
        f"aws lakeformation grant-permissions --principal DataLakePrincipalIdentifier={EVERYONE} --permissions ALL "
        f"--resource {shlex.quote(json.dumps({'Database': {'Name': name}}))}"
    )
    return Check(
        name="Lake Formation",
        needed=f"{EVERYONE} by default",
        found="as needed" if is_good else f"not in {OF_TABLES} of database {name}",
        verdict="ok" if is_good else "unknown",
        advice="" if is_good else f"{BY_WHOM}, unless our roles are granted there, so and for each table: {grant}",
    )


def _lets_in(settings: Mapping[str, Any], default: str) -> bool:
    """Whether the setting `default` grants everything to all whom IAM lets in."""
    return any(
        one["Principal"]["DataLakePrincipalIdentifier"] == EVERYONE and "ALL" in one["Permissions"]
        for one in settings.get(default, [])
    )
