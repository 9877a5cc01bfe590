"""AWS Glue: the versions of a table. Each commit of an Iceberg table relies on them.

AWS does: refuse an update whose VersionId is not the latest version (ConcurrentModificationException).
moto does: ignore VersionId. Of two writers the second overwrites what the first has written: rows are lost without an
    error.
We do: compare the versions under a lock.
Weaker: partitions, crawlers and jobs are moto's.
"""

from infra.local.glue.table_versions import check_table_versions
from infra.local.kernel.cloud import Cloud


def install(_: Cloud) -> None:
    check_table_versions()
