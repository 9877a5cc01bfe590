"""AWS STS: AssumeRole.

AWS does: refuse to assume a role that does not exist.
moto does: give keys for any name.
We do: refuse what AWS refuses, in its words.
Weaker: a role that assumes another one needs only its own policy. The trust policy of the other one is not checked.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.sts.assume_role import refuse_missing_roles


def install(cloud: Cloud) -> None:
    refuse_missing_roles(cloud)
