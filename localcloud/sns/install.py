"""Amazon SNS: topics deliver to queues and functions. By topics the owners of a workload hear of alarms and failures.

AWS does: ask the policy of the receiver, and invoke functions asynchronously.
moto does: ask no policy, call a function inside Publish, and raise its failure to the publisher.
We do: ask the policy. A function gets the whole notification from our own queue.
Weaker: an e-mail becomes a line of the log group /local/mail, and its address stays pending. Telephones get nothing.
"""

from localcloud.kernel.cloud import Cloud
from localcloud.sns.mail import list_as_pending
from localcloud.sns.subscriptions import deliver_notifications, limit_messages


def install(cloud: Cloud) -> None:
    deliver_notifications(cloud)
    list_as_pending()
    limit_messages()
