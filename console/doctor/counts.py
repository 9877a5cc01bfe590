"""Roles and rules: what the templates make of them, beside what the account has from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from console.doctor.check import Check
from console.doctor.quotas import find_quotas
from console.environment import Environment
from millrace.operations.notices import NOTICES

ROLES_OF_STAGE, ROLES_OF_WORKLOAD = 4, 46
"""One for each function, machine, job and schedule; a few are left for what is added."""
RULES_OF_STAGE, RULES_OF_WORKLOAD = sum(notice.is_ours for notice in NOTICES.values()), 7
"""On the bus that has the most of them, the stage's own: its rules are those of notices."""
MOST_RULES = 300
"""Of a bus, where the account's own quota cannot be read.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


def count_roles(environment: Environment, workloads: int) -> Iterator[Check]:
    """The quota of roles of an account is 1,000 by default; those of the stage itself do not count."""
    iam, prefix = environment.client("iam"), f"{environment.platform.prefix}-"
    summary = iam.get_account_summary()["SummaryMap"]
    own = sum(
        role["RoleName"].startswith(prefix)
        for page in iam.get_paginator("list_roles").paginate()
        for role in page["Roles"]
    )
    free = summary["RolesQuota"] - summary["Roles"] + own
    needed = ROLES_OF_STAGE + ROLES_OF_WORKLOAD * workloads
    yield _check("IAM roles", needed, free, "ask for more: quota L-FE177D64 of iam")


def count_rules(environment: Environment, workloads: int) -> Iterator[Check]:
    """Of both buses: on the default one, where AWS's own events arrive, the account may have rules from elsewhere."""
    most = _most_rules(environment)
    needed = RULES_OF_STAGE + RULES_OF_WORKLOAD * workloads
    events, prefix = environment.client("events"), f"{environment.platform.prefix}-"
    buses = {bus["Name"] for bus in events.list_event_buses()["EventBuses"]} & {"default", environment.platform.bus}
    for bus in sorted(buses):
        pages = events.get_paginator("list_rules").paginate(EventBusName=bus)
        foreign = sum(not rule["Name"].startswith(prefix) for page in pages for rule in page["Rules"])
        yield _check(f"rules of bus {bus}", needed, most - foreign, "ask for more: quota Rules of events")


def _most_rules(environment: Environment) -> int:
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
