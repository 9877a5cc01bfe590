"""Lake Formation: whether IAM alone decides about the databases and tables that the deployment makes.

Where an account has switched that off, every call of Glue by a role of ours is refused until it is granted there too:
https://docs.aws.amazon.com/lake-formation/latest/dg/change-settings.html"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from console.doctor.check import Check
from console.environment import Environment

EVERYONE = "IAM_ALLOWED_PRINCIPALS"
"""The group of all whom IAM lets in."""
GRANT = {"Principal": {"DataLakePrincipalIdentifier": EVERYONE}, "Permissions": ["ALL"]}
OF_TABLES = "CreateTableDefaultPermissions"
DEFAULTS = ("CreateDatabaseDefaultPermissions", OF_TABLES)
BY_WHOM = "as an administrator of Lake Formation"


def check_lake_formation(environment: Environment) -> Iterator[Check]:
    """Of a stage that is not deployed yet the account's settings; they are of what is new. A database keeps its own."""
    name, glue = environment.platform.database, environment.client("glue")
    try:
        database = glue.get_database(Name=name)["Database"]
    except glue.exceptions.EntityNotFoundException:
        yield _of_account(environment.client("lakeformation").get_data_lake_settings()["DataLakeSettings"])
    else:
        yield _of_database(name, database)


def _of_account(settings: Mapping[str, Any]) -> Check:
    off = [default for default in DEFAULTS if not _lets_in(settings, default)]
    # The call replaces all settings: those that the account has go with it.
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
    """Roles may also have been granted one by one, which is not looked at."""
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
    return any(
        one["Principal"]["DataLakePrincipalIdentifier"] == EVERYONE and "ALL" in one["Permissions"]
        for one in settings.get(default, [])
    )
