"""AWS Lambda: functions run as processes under their own role.

AWS does: start a sandbox per concurrent invocation, keep it warm, end it on timeout, crash or too much memory; retry
    asynchronous invocations twice.
moto does: need Docker, or answer a constant; know no asynchronous path and no dead letters.
We do: run AWS's own runtime client in warm processes, by the Lambda Runtime API, for every way to a function.
Weaker: few workers per function; memory is watched every 50 ms; /tmp is the host's; no VPC.
"""

from functools import partial

from infra.local.awslambda.event_sources import make_event_source_mappings
from infra.local.awslambda.functions import pending, run_functions
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    run_functions(cloud)
    make_event_source_mappings(cloud)
    cloud.pending.append(partial(pending, cloud))
