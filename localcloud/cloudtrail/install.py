"""AWS CloudTrail: the event history says who started an execution.

AWS does: keep every management event for 90 days, with the caller that the signature proves. LookupEvents shows an
    event some minutes after its call, at most 15.
moto does: keep trails. It refuses LookupEvents.
We do: keep the event of each StartExecution, whoever called: a person, a rule or a machine.
Weaker: no other operation is kept, an event is there at once, and no trail delivers anything.
"""

from localcloud.cloudtrail.history import keep_history
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    keep_history(now=cloud.clock.now)
