"""Amazon DynamoDB: conditional writes, on which leases, slots and release pointers rest, streams, and system backups.

AWS does: test the condition and write the item as one step; feed functions from a table's stream, in order; keep what
    a deleted table with point-in-time recovery had for 35 days.
moto does: test, then write. If two threads pass the test, the second one overwrites what the first has written. It
    calls the function of a stream inside PutItem, once. Its query sorts all items of the table. A deleted table is
    gone.
We do: let one thread at a time write. A thread for each event source polls its stream, and tries a batch until it
    succeeds. Items of a partition are kept in order, so that a query reads its page alone. The deletion of a table
    leaves its backup; a restored table has no stream, time to live, point-in-time recovery, protection or tags.
Weaker: a stream has one shard, and keeps its records for ever. A table is restored at once, without its key and its
    billing mode. Capacity, global tables and the restoration to a point in time are moto's.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from importlib import import_module
from typing import Any

from localcloud.dynamodb.order import keep_items_in_order
from localcloud.dynamodb.streams import poll_streams
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace


def install(cloud: Cloud) -> None:
    keep_items_in_order()
    make_writes_atomic()
    keep_system_backups(cloud)
    poll_streams(cloud)


WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")
READS = ("get_item", "query", "scan")
"""Reads take the lock too.

moto's transaction copies its tables before it writes, and a read of a key that does not exist adds an entry to them."""


def make_writes_atomic() -> None:
    """Make the test and the write of a conditional write one step. May go when moto holds a lock for both."""
    backend: Any = import_module("moto.dynamodb.models").DynamoDBBackend
    # One lock for all tables, since a transaction writes several of them. Its holder may take it again: a transaction
    # puts items by the same methods.
    turn = threading.RLock()

    def alone(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def locked(*given: Any, **named: Any) -> Any:
            with turn:
                return call(*given, **named)

        return locked

    replace(backend, **{name: alone(getattr(backend, name)) for name in (*WRITES, *READS)})


SYSTEM_BACKUP = timedelta(days=35)
"""How long the backup of a deleted table is kept.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html"""


def keep_system_backups(cloud: Cloud) -> None:
    """Keep the backups of deleted tables, and list backups by their type. May go when moto does both."""
    models: Any = import_module("moto.dynamodb.models")
    responses: Any = import_module("moto.dynamodb.responses")
    delete = models.DynamoDBBackend.delete_table

    def delete_table(self: Any, name: str) -> Any:
        table = delete(self, name)
        if table.continuous_backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED":
            named = f"{table.name}$DeletedTableBackup"
            backup = models.Backup(self.account_id, self.region_name, named, table, type_="SYSTEM")
            backup.creation_date_time = cloud.clock.now()
            self.backups[backup.arn] = backup
        return table

    def list_backups(self: Any) -> Any:
        kind, since = self.body.get("BackupType", "USER"), cloud.clock.now() - SYSTEM_BACKUP
        found = self.dynamodb_backend.list_backups(self.body.get("TableName"))
        kept = [one for one in found if one.type == "USER" or one.creation_date_time > since]
        return responses.DynamoResult({"BackupSummaries": [one.summary for one in kept if kind in (one.type, "ALL")]})

    replace(models.DynamoDBBackend, delete_table=delete_table)
    replace(responses.DynamoHandler, list_backups=list_backups)
