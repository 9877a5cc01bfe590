"""AWS IAM: every call of a role is decided by its policies.

AWS does: weigh role, boundary and resource policies with their conditions against action and resource of the call.
moto does: ask for a grant on `*`, ignore conditions, know no PassRole.
We do: decide each call with temporary keys before moto sees it; the operator's keys may do everything.
Weaker: signatures are not verified; no session policies, no organisations, no VPC endpoint policies.
"""

from infra.local.iam.identity import guard_calls
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    guard_calls(cloud)
