"""IAM roles and EventBridge rules: how many the templates make, and how many the account has room for."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from millrace.console.doctor.check import Check
from millrace.console.doctor.quotas import find_quotas
from millrace.console.environment import Environment
from millrace.operations.notices import NOTICES

ROLES_OF_STAGE, ROLES_OF_WORKLOAD = 4, 19
"""How many roles the templates make, with a few of the stage in reserve."""
RULES_OF_STAGE, RULES_OF_WORKLOAD = sum(notice.is_ours for notice in NOTICES.values()), 5
"""How many rules the templates make on the stage's own bus, which has the most of them: 260 with fifty workloads.
The rules of the stage itself are those of the notices."""
MOST_RULES = 300
"""The quota of rules on a bus, used if the account's own quota cannot be read.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


def count_roles(environment: Environment, workloads: int) -> Iterator[Check]:
    """Whether the account has room for the stage's roles. Its quota is 1,000 roles by default.

    Roles that this stage has made already count as free."""
    iam, prefix = environment.client("iam"), f"{environment.platform.prefix}-"
    summary = iam.get_account_summary()["SummaryMap"]
    own = sum(role["RoleName"].startswith(prefix) for role in environment.listed("iam", "list_roles", "Roles"))
    # The stage's own roles are counted as free again, since `needed` counts them anew.
    free = summary["RolesQuota"] - summary["Roles"] + own
    needed = ROLES_OF_STAGE + ROLES_OF_WORKLOAD * workloads
    yield _check("IAM roles", needed, free, "ask for more: quota L-FE177D64 of iam")


def count_rules(environment: Environment, workloads: int) -> Iterator[Check]:
    """Whether each bus has room for the stage's rules: the stage's own bus, and the default bus.

    AWS's own events arrive on the default bus, where the account may have rules from elsewhere."""
    most = _most_rules(environment)
    needed = RULES_OF_STAGE + RULES_OF_WORKLOAD * workloads
    events, prefix = environment.client("events"), f"{environment.platform.prefix}-"
    buses = {bus["Name"] for bus in events.list_event_buses()["EventBuses"]} & {"default", environment.platform.bus}
    for bus in sorted(buses):
        rules = environment.listed("events", "list_rules", "Rules", EventBusName=bus)
        foreign = sum(not rule["Name"].startswith(prefix) for rule in rules)
        yield _check(f"rules of bus {bus}", needed, most - foreign, "ask for more: quota Rules of events")


def _most_rules(environment: Environment) -> int:
    """The account's quota of rules on a bus; MOST_RULES if it cannot be read."""
    try:
        quota = find_quotas(environment.client("service-quotas"), "events").get("rules")
    except ClientError:
        quota = None
    return int(quota.value) if quota else MOST_RULES


def _check(name: str, needed: int, free: int, advice: str) -> Check:
    is_met = free >= needed
    return Check(
        name=name,
        needed=f"{needed} free",
        found=f"{free} free",
        verdict="ok" if is_met else "missing",
        advice="" if is_met else advice,
    )
