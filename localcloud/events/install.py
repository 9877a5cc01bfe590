"""Amazon EventBridge: rules deliver events.

AWS does: match events, render the target's input, deliver after the answer, try again for a day, then use the
    dead-letter queue.
moto does: deliver to few kinds of targets, render templates wrongly, raise a target's failure to the sender, let
    anybody send events in the name of AWS's services.
We do: deliver from our own queue, and check the policy or role of each target.
Weaker: tries are few and fast. A bus without its key tells its dead letters once for each rule that matches. The role
    of a bus as target is not checked. A log group is no target.
"""

from localcloud.events.put_events import limit_entries, refuse_reserved_sources
from localcloud.events.rules import deliver_events
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    deliver_events(cloud)
    limit_entries()
    refuse_reserved_sources()
