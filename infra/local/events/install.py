"""Amazon EventBridge: rules deliver events.

AWS does: match, render the input, deliver on its own time, retry for a day, then use the dead-letter queue.
moto does: know queues and log groups only, render templates wrongly, raise a target's failure to the sender, let
anybody speak for AWS's services.
We do: deliver from a queue of our own, each target's policy and role checked.
Weaker: retries are few and fast; the role of a bus or log group as target is not checked.
"""

from infra.local.events.entry_sizes import limit_entries
from infra.local.events.reserved_sources import refuse_reserved_sources
from infra.local.events.rules import deliver_events
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    deliver_events(cloud)
    limit_entries()
    refuse_reserved_sources()
