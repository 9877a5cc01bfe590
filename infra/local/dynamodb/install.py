"""Amazon DynamoDB: conditional writes, on which leases, slots and release pointers rest.

AWS does: test the condition and write the item as one step.
moto does: test first and write then: of two threads that both pass the test the second overwrites the first.
We do: let one thread at a time write.
Weaker: capacity, streams and global tables are moto's.
"""

from infra.local.dynamodb.conditional_writes import make_writes_atomic
from infra.local.kernel.cloud import Cloud


def install(_: Cloud) -> None:
    make_writes_atomic()
