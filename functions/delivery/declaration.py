"""How the function `delivery` is deployed."""

from collections.abc import Iterator

from millrace.consumers.catalogue import of_stage, queue_of
from millrace.settings.declaration import Declared, Deployment, Grant
from millrace.settings.drop import DropEnvironment


def rights(given: Deployment) -> Iterator[Grant]:
    yield Grant("buckets.LAKE.read", "staging")
    # The live version may refuse rows that keep today's contract: they are quarantined.
    yield Grant("buckets.LAKE.write", "predictions", "decisions", "quarantine/feed=scoring")
    if policy := given.workload.policy:
        # Which answers act is in the state, and decisions that wait for a person come into the queue.
        yield Grant("state_table.own_items", may="GetItem PutItem" if policy.held_out else "GetItem")
        yield Grant("state_table.reviews", may="GetItem PutItem")
        if policy.floor:
            yield Grant("state_table.read_known_keys", given.workload.known_keys)
    for one in of_stage(given.workload.consumers, given.names.platform.stage):
        yield Grant("queues.send", given.names.queue_arn(queue_of(one)))


DECLARED = Declared(
    room="scoring",
    settings=DropEnvironment,
    timeout_s=900,
    memory_mb=1024,
    rights=rights,
)
