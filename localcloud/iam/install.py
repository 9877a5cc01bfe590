"""AWS IAM: the policies of a role decide every call of it.

AWS does: weigh the policies of role, boundary and resource, with their conditions, against the call's action and
    resource.
moto does: ask for a grant on `*` and ignore conditions. It does not know PassRole.
We do: decide each call with temporary keys before moto sees it; the operator's keys may do everything. Calls that
    nobody makes are decided by the same evaluator (SimulatePrincipalPolicy), which moto lacks.
Weaker: only REST APIs verify signatures; there are no session policies, organisations or policies of VPC endpoints.
"""

from localcloud.iam.identity import guard_calls
from localcloud.iam.simulation import serve_simulation
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    guard_calls(cloud)
    serve_simulation()
