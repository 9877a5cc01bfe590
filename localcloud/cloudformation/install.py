"""AWS CloudFormation: stacks and change sets.

AWS does: create, update, replace and delete resources in the order of their references, and roll back a failure.
moto does: skip the types that it does not know, and leave a failed stack half made. It executes change sets blindly.
We do: run an engine over a table of resource types (`resources/`), and refuse unknown properties by name, and what is
    not covered before anything of a template is made. The role that a stack is given makes its resources.
Weaker: without a role the operator's keys make them, and AWS's handlers make more calls than ours. Types that moto
    alone knows are kept as it keeps them, without a right. There are no nested stacks and no detection of drift: to
    revert drift, all rules, schedules, event source mappings and policies of topics and queues are put again.
"""

from localcloud.cloudformation.change_sets import serve_change_sets
from localcloud.cloudformation.preview import serve_previews
from localcloud.cloudformation.stacks import replace_engine
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    replace_engine(cloud)
    serve_change_sets()
    serve_previews(cloud)
