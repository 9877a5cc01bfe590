"""Rights on the Iceberg tables in the Glue catalogue, which code makes and commits to."""

from __future__ import annotations

from millrace.infra.iam.buckets import LAKE
from millrace.infra.iam.resource import Resource, Statement, resource
from millrace.names import WorkloadNames


def database(names: WorkloadNames) -> Resource:
    """The database and its catalogue. Every call on a table needs both."""
    platform = names.platform
    return resource("glue", platform.arn("glue", "catalog"), platform.arn("glue", f"database/{platform.database}"))


def tables(names: WorkloadNames, *which: str) -> Resource:
    """Some of the workload's tables, with their database and its catalogue."""
    own = [names.platform.arn("glue", f"table/{names.platform.database}/{names.table(table)}") for table in which]
    return database(names) + resource("glue", *own)


def remove_manifests(names: WorkloadNames, *which: str) -> Statement:
    """Delete manifests of the tables, and no data file: a commit that lost removes its manifests."""
    metadata = [LAKE.arn(names, f"iceberg/{names.table(table)}/metadata/*") for table in which]
    return resource(
        "s3",
        *metadata,
        because="pyiceberg names the manifests of a commit by a UUID; the data files beside them are out of reach",
    ).may("DeleteObject")


def delete_files(names: WorkloadNames, *which: str) -> Statement:
    """Delete files of the tables: the upkeep deletes files that no snapshot names."""
    files = [LAKE.arn(names, f"iceberg/{names.table(table)}/*") for table in which]
    return resource("s3", *files, because="pyiceberg and we name the files of a table by a UUID").may("DeleteObject")
