"""A stage that somebody has deleted by hand, but for its buckets, is back in one command, with the same answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pyiceberg.catalog.glue import GlueCatalog

from localcloud.deploy import deploy
from millrace.console.demo.driver import Driver
from millrace.console.demo.months import SAMPLE, months
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.functions.teardown.steps import delete_endpoints, unregister_tables
from millrace.infra import resource_import
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from tests.credentials import set_credentials
from tests.end_to_end.callers import typed
from tests.end_to_end.conftest import Lived
from tests.end_to_end.inventory import OF_MACHINES, delete_stacks

REQUESTS = 1000
TABLES = (PLATFORM.audit_table, PLATFORM.state_table)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What can be seen of the stage at one time."""

    answers: Sequence[Any]
    """To the same requests."""
    versions: Any
    """But for when they became live: the restored one does so again."""
    rows: Mapping[str, int]
    """By table."""
    items: Mapping[str, int]
    """By table of DynamoDB."""
    revision: int
    """Of the release pointers."""


def seen(lived: Lived, catalog: GlueCatalog, when: str) -> Seen:
    pages = lived.cloud.client("dynamodb").get_paginator("scan")
    items = {table: sum(page["Count"] for page in pages.paginate(TableName=table)) for table in TABLES}
    tables = {name: catalog.load_table(f"{PLATFORM.database}.{lived.names.table(name)}") for name in ("rows", "labels")}
    return Seen(
        versions=[{**one, "live_at": None} for one in typed("versions")],
        rows={name: table.scan().to_arrow().num_rows for name, table in tables.items()},
        items=items,
        revision=ReleasePointers(StateTable(lived.cloud.client("dynamodb"), lived.names)).read().revision,
        answers=answers(lived, when),
    )


def answers(lived: Lived, when: str) -> list[Any]:
    """What the same requests get, but for the ids of the answers: a repeated id would be answered from memory."""
    (month,) = months(SAMPLE, "1997-03", "1997-03")
    rows = [row for day in month.days() for row in day][:REQUESTS]
    driver = Driver(cloud=lived.cloud, names=lived.names, said=lambda _: None)
    found = [one["predictions"] for one in driver.predict(when, "request", [[row] for row in rows])]
    return [[{**each, "id": None} for each in predictions] for predictions in found]


def delete_by_hand(lived: Lived) -> None:
    """As a person would who clears an account, and keeps the buckets alone; AWS asks for this order."""
    client = lived.cloud.client
    sagemaker, dynamodb = client("sagemaker"), client("dynamodb")
    delete_endpoints(client, lived.names)
    for kind, call, parameter in (
        ("endpoint configuration", sagemaker.delete_endpoint_config, "EndpointConfigName"),
        ("model", sagemaker.delete_model, "ModelName"),
        ("model package", sagemaker.delete_model_package, "ModelPackageName"),
    ):
        for name in OF_MACHINES[kind](client):
            call(**{parameter: name})
    for card in sagemaker.list_model_cards()["ModelCardSummaries"]:
        sagemaker.delete_model_card(ModelCardName=card["ModelCardName"])
    client("cloudwatch").delete_alarms(AlarmNames=OF_MACHINES["alarm of a release"](client))
    unregister_tables(client, lived.names)
    delete_stacks(lived.cloud)
    # Then DynamoDB keeps no backup of it, as 35 days later.
    recovery = {"PointInTimeRecoveryEnabled": False}
    dynamodb.update_continuous_backups(TableName=TABLES[0], PointInTimeRecoverySpecification=recovery)
    for table in TABLES:
        with pytest.raises(dynamodb.exceptions.ClientError, match="Protection"):
            dynamodb.delete_table(TableName=table)
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=table)


def adopt(lived: Lived) -> None:
    """As `make adopt DO=--yes` calls it."""
    words = ["--stage", PLATFORM.stage, "--assembly", str(lived.build / "cdk.out"), "--yes"]
    with pytest.MonkeyPatch.context() as patch:
        set_credentials(patch)
        patch.setattr(sys, "argv", ["resource_import", *words])
        resource_import.main()


def test_a_deleted_stage_is_back_with_the_same_answers(lived: Lived, catalog: GlueCatalog) -> None:
    lived.rest()
    before = seen(lived, catalog, "before")
    assert len(before.answers) == REQUESTS
    delete_by_hand(lived)
    adopt(lived)
    deploy(lived.cloud.endpoint_url, lived.build / "cdk.out", secret=lived.cloud.secret)
    # As of a backup from before the first release.
    key = {"pk": {"S": lived.names.workload}, "sk": {"S": Pointers.sort_key()}}
    lived.cloud.client("dynamodb").delete_item(TableName=PLATFORM.state_table, Key=key)
    assert [one["what"] for one in typed("restore", "--plan")] == [
        "table electricity_rows", "table electricity_labels", "version 1", "version 2", "release pointers",
        "release of version 2",
    ]  # fmt: skip
    typed("restore")
    lived.rest()
    after = seen(lived, catalog, "after")
    assert (after.answers, after.rows, after.versions) == (before.answers, before.rows, before.versions)
    assert all(after.items[table] >= before.items[table] > 0 for table in TABLES)
    assert after.revision == before.revision + 1
    typed("audit", "verify")  # ends with 1 if anything is wrong
    assert typed("restore") == [], "a second time there is nothing to do"
