"""Amazon Kinesis Data Streams: streams that feed functions.

AWS does: poll each shard of a stream in order, halve a batch that fails, try it again, and at last write its place to a
    destination; with its bytes, if that is a bucket.
moto does: call the function inside PutRecord, once and with one record. Two writers may get one sequence number.
We do: poll with a thread for each event source mapping, which goes from shard to shard. A lock for each stream.
Weaker: the shards of a mapping wait for each other's calls. A batching window does not wait. Records do not expire.
"""

from localcloud.kernel.cloud import Cloud
from localcloud.kinesis.streams import poll_streams


def install(cloud: Cloud) -> None:
    poll_streams(cloud)
