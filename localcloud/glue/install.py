"""AWS Glue: the versions of a table. Each commit of an Iceberg table relies on them.

AWS does: refuse an update whose VersionId is not the latest version (ConcurrentModificationException).
moto does: ignore VersionId. Of two writers the second overwrites what the first has written: rows are lost without an
    error.
We do: compare the versions under a lock.
Weaker: partitions, crawlers and jobs are moto's.
"""

import threading
from importlib import import_module
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace


def install(_: Cloud) -> None:
    """Let UpdateTable compare VersionId with the table's version. May go when moto compares them as one step."""
    response: Any = import_module("moto.glue.responses").GlueResponse
    exceptions: Any = import_module("moto.glue.exceptions")
    update, changing = response.update_table, threading.Lock()

    def update_table(self: Any) -> Any:
        wanted = self.parameters.get("VersionId")
        # To compare and to write is one step. Iceberg's writers commit optimistically, so the second of two must get an
        # error. moto keeps the number of the latest version in the table's private `_current_version`.
        place = self.parameters["DatabaseName"], self.parameters["TableInput"]["Name"]
        with changing:
            table = self.glue_backend.get_table(*place)
            if wanted is not None and str(wanted) != str(table._current_version):
                raise exceptions.GlueClientError(
                    "ConcurrentModificationException",
                    f"Table {'.'.join(place)} is at version {table._current_version}, update is of {wanted}",
                )
            return update(self)

    replace(response, update_table=update_table)
