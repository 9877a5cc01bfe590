"""Amazon SQS: queues, and functions that they feed.

AWS does: poll with several pollers, delete what succeeded, move what failed too often to the dead-letter queue.
moto does: call the function inside SendMessage with one message, once; lose messages under concurrent deletes.
We do: poll with threads, by the cloud's clock; a lock per queue ends the races; dead letters can be moved back.
Weaker: at most four batches of a queue at once; no message filters; windows are real seconds.
"""

from functools import partial

from infra.local.kernel.cloud import Cloud
from infra.local.sqs.message_moves import move_dead_letters
from infra.local.sqs.message_sizes import limit_messages
from infra.local.sqs.queues import pending, poll_event_sources


def install(cloud: Cloud) -> None:
    poll_event_sources(cloud)
    limit_messages()
    move_dead_letters(cloud)
    cloud.pending.append(partial(pending, cloud))
