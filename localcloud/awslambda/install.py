"""AWS Lambda: functions that run as processes under their own role.

AWS does: start a sandbox for each concurrent invocation, keep it warm, end it on a timeout, a crash or too much memory,
    and retry asynchronous invocations twice.
moto does: need Docker, or answer a constant. It knows no asynchronous invocations and no dead letters.
We do: run AWS's own runtime client in warm processes, by the Lambda Runtime API, whichever service invokes. They
    live by the cloud's clock; after a move their monotonic clock has run on, so that what they keep for seconds is old.
Weaker: a function has few workers; memory is read every 50 ms; /tmp is the host's; there is no VPC.
"""

from functools import partial

from localcloud.awslambda.event_sources import make_event_source_mappings
from localcloud.awslambda.functions import pending, run_functions
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    run_functions(cloud)
    make_event_source_mappings(cloud)
    cloud.pending.append(partial(pending, cloud))
