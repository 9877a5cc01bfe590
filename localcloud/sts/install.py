"""AWS STS: AssumeRole.

AWS does: refuse to assume a role that does not exist.
moto does: give keys for any name.
We do: refuse what AWS refuses, in its words.
Weaker: a role that assumes another one needs only its own policy. The trust policy of the other one is not checked.
"""

from localcloud.iam.identity import account_of
from localcloud.kernel.calls import Call, Refusal, error_answer
from localcloud.kernel.cloud import ACCOUNT, Cloud, moto_backend


def install(cloud: Cloud) -> None:
    # May go when moto refuses such calls.
    cloud.guards.append(_refusal)


def _refusal(call: Call) -> Refusal | None:
    """The answer to AssumeRole of a role that does not exist; None for any other call.

    As on AWS it does not say whether the role does not exist or does not trust the caller."""
    if call.name != "sts:AssumeRole":
        return None
    role = str(call.parameters().get("RoleArn"))
    if role in {one.arn for one in list(moto_backend("iam", "aws", account=account_of(role)).roles.values())}:
        return None
    message = f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: sts:AssumeRole on resource: {role}"
    return error_answer(call, "AccessDenied", message)
