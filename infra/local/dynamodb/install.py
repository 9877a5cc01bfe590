"""Amazon DynamoDB: conditional writes, on which leases, slots and release pointers rest, and streams.

AWS does: test the condition and write the item as one step; feed functions from a table's stream, in order.
moto does: test, then write. If two threads pass the test, the second one overwrites what the first has written. It
    calls the function of a stream inside PutItem, once.
We do: let one thread at a time write. A thread for each event source polls its stream, and tries a batch until it
    succeeds.
Weaker: a stream has one shard, and keeps its records for ever. Capacity and global tables are moto's.
"""

from functools import partial

from infra.local.dynamodb.conditional_writes import make_writes_atomic
from infra.local.dynamodb.streams import pending, poll_streams
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    make_writes_atomic()
    poll_streams(cloud)
    cloud.pending.append(partial(pending, cloud))
