"""Amazon DynamoDB: conditional writes, on which leases, slots and release pointers rest, and streams.

AWS does: test the condition and write the item as one step; feed functions from a table's stream, in order.
moto does: test, then write. If two threads pass the test, the second one overwrites what the first has written. It
    calls the function of a stream inside PutItem, once. Its query sorts all items of the table.
We do: let one thread at a time write. A thread for each event source polls its stream, and tries a batch until it
    succeeds. Items of a partition are kept in order, so that a query reads its page alone.
Weaker: a stream has one shard, and keeps its records for ever. Capacity and global tables are moto's.
"""

import threading
from collections.abc import Callable
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
