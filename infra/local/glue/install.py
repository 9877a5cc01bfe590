"""AWS Glue: the versions of a table, on which each commit of an Iceberg table rests.

AWS does: refuse an update whose VersionId is not the latest (ConcurrentModificationException).
moto does: ignore it: of two writers the second overwrites the first, rows are lost without an error.
We do: compare the versions under a lock.
Weaker: partitions, crawlers and jobs are moto's.
"""

from infra.local.glue.table_versions import check_table_versions
from infra.local.kernel.cloud import Cloud


def install(_: Cloud) -> None:
    check_table_versions()
