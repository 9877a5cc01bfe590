"""Amazon SNS: topics deliver to queues and functions (alarms and failures reach the owners of a workload by them).

AWS does: ask the receiver's policy and invoke functions asynchronously.
moto does: ask no policy, call a function inside Publish, raise its failure to the publisher.
We do: ask the policy; a function gets the whole notification from a queue of our own.
Weaker: an e-mail is kept as a line of the log group /local/mail, its address stays pending; telephones get nothing.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.sns.mail import list_as_pending
from infra.local.sns.message_sizes import limit_messages
from infra.local.sns.subscriptions import deliver_notifications


def install(cloud: Cloud) -> None:
    deliver_notifications(cloud)
    list_as_pending()
    limit_messages()
