"""AWS Step Functions: moto's interpreter, with the parts that it lacks.

AWS does: run machines under their role, put status changes on the bus, redrive failed executions.
moto does: execute no machine that CloudFormation made, and wait by the machine's clock. It knows no `.sync` of
    SageMaker and no redrive.
We do: put executions, tasks, waits, a journal and redrive around moto's interpreter.
Weaker: Express machines run as Standard ones; Distributed Map, JSONata and variables are refused by name.
"""

from functools import partial

from localcloud.kernel.cloud import Cloud
from localcloud.stepfunctions.machines import pending, run_machines


def install(cloud: Cloud) -> None:
    run_machines(cloud)
    cloud.pending.append(partial(pending, cloud))
