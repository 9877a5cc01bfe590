"""AWS CloudFormation: stacks and change sets.

AWS does: create, update, replace and delete resources in the order of their references, and roll back what fails.
moto does: skip the types that it does not know and leave a failed stack half made; change sets are executed blindly.
We do: run an engine over a table of resource types (`resources/`); unknown types and properties are refused by name.
Weaker: resources are made in nobody's name, not under the role that a stack is given; no drift detection: to revert
    drift puts all rules, schedules, mappings and policies of topics and queues again; no nested stacks.
"""

from infra.local.cloudformation.change_sets import serve_change_sets
from infra.local.cloudformation.stacks import replace_engine
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    replace_engine(cloud)
    serve_change_sets()
