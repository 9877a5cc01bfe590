"""What is a table's newest state, and what the registry learns; tests/end_to_end/test_restore.py deletes a stage."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.aws.objects import put_object, read_object
from millrace.console.actions.restore import Missing, erase_again, erased_since, lost_table, restore, told_pointers
from millrace.console.environment import Environment
from millrace.console.queries.versions import registry_of
from millrace.contract.schema import parsed_schema
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from millrace.errors import ConflictError
from millrace.messages.audit import AuditEvent, ResourcesRemoved, RowsErased, VersionDecided, VersionLive
from millrace.release.registry import KeptVersion
from millrace.state.audit import Record, append
from millrace.state.pointers import Pointers
from millrace.timestamps import format_utc, parse_utc
from tests import builders
from tests.archives import zipped
from tests.localcloud.resources import Resources
from tests.millrace.datasets import conftest
from tests.state_table import create_table

names, lake = conftest.names, conftest.lake
AT = parse_utc("2026-01-01T00:00:00Z")


@pytest.fixture
def environment(lake: Lake, cloud: Cloud) -> Environment:
    return Environment(platform=lake.names.platform, client=cloud.client)


def drop(lake: Lake, key: str) -> str:
    """Where the metadata lies after a drop without a row."""
    rows = pa.table(parsed_schema(lake.contract.rows).empty_table())
    commit(lake, "rows", rows, conftest.source_of(key))
    return str(lake.catalog.load_table((lake.names.platform.database, lake.names.table("rows"))).metadata_location)


def forget(lake: Lake) -> None:
    """The catalogue has the table no more, its files stay."""
    lake.catalog.drop_table((lake.names.platform.database, lake.names.table("rows")))


def found(environment: Environment, lake: Lake) -> str | None:
    table = lost_table(environment, lake.names, "rows")
    return table.metadata_location if table else None


def lost_beside(cloud: Cloud, newest: str) -> str:
    """The metadata of a commit that lost against this one: its manifests are deleted."""
    path = Path(newest)
    uri = newest.replace(path.name, f"{path.name.partition('-')[0]}-lost.metadata.json")
    put_object(cloud.client("s3"), uri, read_object(cloud.client("s3"), newest).replace(b"/snap-", b"/gone-"))
    return uri


def test_the_newest_whole_state_is_taken(environment: Environment, lake: Lake, cloud: Cloud) -> None:
    assert found(environment, lake) is None, "no table was ever made"
    drop(lake, "first")
    newest = drop(lake, "second")
    assert found(environment, lake) is None, "it stands in the catalogue"
    forget(lake)
    assert found(environment, lake) == newest
    lost = lost_beside(cloud, newest)
    assert found(environment, lake) == newest
    put_object(cloud.client("s3"), lost, read_object(cloud.client("s3"), newest))
    with pytest.raises(ConflictError, match=f"{newest} and {lost}|{lost} and {newest}"):
        found(environment, lake)


def test_a_table_that_was_made_anew_is_the_newest(environment: Environment, lake: Lake, cloud: Cloud) -> None:
    for key in ("first", "second", "third"):
        former = drop(lake, key)
    forget(lake)
    cloud.clock.move(cloud.clock.now() + timedelta(minutes=1))
    anew = drop(lake, "anew")
    assert anew.rpartition("/")[2] < former.rpartition("/")[2], "it counts from 0 again"
    forget(lake)
    assert found(environment, lake) == anew


def test_a_new_table_in_the_place_of_the_lost_one_is_named(environment: Environment, lake: Lake, cloud: Cloud) -> None:
    newest = drop(lake, "first")
    content = read_object(cloud.client("s3"), newest)
    forget(lake)
    drop(lake, "while it was deployed")
    cloud.clock.move(cloud.clock.now() + timedelta(minutes=1))
    put_object(cloud.client("s3"), newest, content)
    with pytest.raises(ConflictError, match="a new one stands there"):
        found(environment, lake)


def kept(version: str, **given: Any) -> KeptVersion:
    candidate = vars(builders.candidate(run=f"run-{version}", **given))
    return KeptVersion(**candidate, version=version, registered_at=format_utc(AT))


LIVE: dict[str, Any] = {
    "version": "2",
    "revision": 1,
    "watched_requests": 9,
    "live_at": AT,
    "endpoint_config": "m-live",
}
SAID = (
    (AuditEvent.RELEASE_LIVE, VersionLive(**LIVE)),
    (AuditEvent.RELEASE_REFUSED, VersionDecided(version="3", by="ann", reason="errs at night")),
    (AuditEvent.RELEASE_APPROVED, VersionDecided(version="4", by="ann", reason="as good")),
)
GONE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-dev-inference@sha256:{'0' * 64}"


def test_the_registry_learns_again_what_the_audit_says(environment: Environment, cloud: Cloud, lake: Lake) -> None:
    """Each version comes back with its number, also where nobody kept the one before."""
    names, client = lake.names, environment.client
    client("sagemaker").create_model_package_group(ModelPackageGroupName=names.package_group)
    create_table(client("dynamodb"), names.platform.audit_table)
    for event, details in SAID:
        record = Record(actor="a", execution_arn="arn:x:r1", event=event, as_of=AT, cause="c", details=details)
        append(client("dynamodb"), table=names.platform.audit_table, workload=names.workload, record=record)
    client("lambda").create_function(
        FunctionName=names.function("registration"), Runtime="python3.13", Handler="h.h", Code={"ZipFile": zipped()},
        Role=Resources(cloud=cloud).role("lambda"), Environment={"Variables": {"MILLRACE_INFERENCE_IMAGE": "anew"}},
    )  # fmt: skip
    versions = [kept(number, image=GONE) for number in "234"]
    missing = Missing(names=names, tables={}, versions=versions, pointers=None, live="")
    restore(environment, missing, None, said=lambda _: None)
    registry = registry_of(environment, names)
    with pytest.raises(ConflictError, match="expected to register version 1, got 5"):
        registry.restore(kept("1"))
    found = [(one.metadata["run"], one.approval, one.said, one.was_live, one.image) for one in registry.all()]
    assert found == [
        ("run-4", "PendingManualApproval", "", False, "anew"),
        ("run-3", "Rejected", "ann: errs at night", False, "anew"),
        ("run-2", "Approved", "released by arn:x:r1", True, "anew"),
    ]


def said(event: AuditEvent, details: Any, days: int) -> Record:
    at = AT + timedelta(days=days)
    return Record(actor="a", execution_arn="arn:x:r", event=event, as_of=at, cause="c", details=details)


def moved(version: str, revision: int, days: int) -> Record:
    live = LIVE | {"version": version, "revision": revision, "live_at": AT + timedelta(days=days)}
    return said(AuditEvent.RELEASE_LIVE, VersionLive(**live), days)


TORN_DOWN = ResourcesRemoved(step="endpoints", found=("endpoint e",))
FORMER = (moved("7", 9, -9), said(AuditEvent.TEARDOWN_STEP, TORN_DOWN, -8))


def test_the_audit_tells_which_version_is_live(lake: Lake) -> None:
    """Version 7 is of a registry that a teardown has emptied; its revision counts."""
    moves = [*FORMER, moved("1", 11, 1), moved("2", 13, 2), moved("1", 14, 3)]
    told = told_pointers(lake.names, moves, map(kept, "12"))
    assert (told.champion.version, told.champion.model_name, told.champion.run) == ("1", "m", "run-1")
    assert (told.previous.version, told.highest, told.revision) == ("2", 2, 14)
    assert told_pointers(lake.names, FORMER, map(kept, "12")) == Pointers(revision=9)
    assert told_pointers(lake.names, [], map(kept, "12")) is None


def test_who_was_erased_after_the_backup_is_told(environment: Environment, lake: Lake) -> None:
    dynamodb, table = environment.client("dynamodb"), lake.names.platform.audit_table
    create_table(dynamodb, table)
    create_table(dynamodb, lake.names.platform.state_table)
    for days in (-1, 0, 1):
        erased = RowsErased(by="ann", reason="ticket 4711", column="id", pseudonyms=(f"5d7c{days}",))
        append(dynamodb, table=table, workload=lake.names.workload, record=said(AuditEvent.ROWS_ERASED, erased, days))
    # A record has the time of the request: an hour later the erasure may not have come to the items yet.
    assert erased_since(environment, lake.names, AT + timedelta(hours=1)) == {"id": ["5d7c0", "5d7c1"]}
    # Without the secret of pseudonyms nobody can tell who of them came back: an operator hears that alone.
    told = erase_again(environment, lake.names, AT, is_preview=True)
    assert [*Missing(names=lake.names, tables={}, versions=[], pointers=None, live="", erased=told).rows], told
