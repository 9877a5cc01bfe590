"""Amazon SQS: queues, and functions that they feed.

AWS does: poll a queue with several pollers, delete the messages that the function has done, move those that failed too
    often to the dead-letter queue.
moto does: call the function inside SendMessage, once and with one message; lose messages while others are deleted.
We do: poll with threads, by the cloud's clock. A lock for each queue ends the races. Dead letters can be moved back.
Weaker: at most four batches of an event source at once. No message filters. Batching windows are real seconds.
"""

from functools import partial

from localcloud.kernel.cloud import Cloud
from localcloud.sqs.message_moves import move_dead_letters
from localcloud.sqs.queues import limit_messages, pending, poll_event_sources, retries


def install(cloud: Cloud) -> None:
    poll_event_sources(cloud)
    limit_messages()
    move_dead_letters(cloud)
    cloud.pending.append(partial(pending, cloud))
    cloud.retries.append(partial(retries, cloud))
