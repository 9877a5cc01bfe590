"""Compare the account's quotas, as Service Quotas lists them, with what the workloads require."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from millrace.console.doctor.check import Check, Verdict
from millrace.console.doctor.required_quotas import Need

LAMBDA_CONCURRENCY = "L-B99A9384"
"""The code of the quota "Concurrent executions".
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
QUEUES_AT_ONCE, MACHINES_AT_ONCE = 7, 20
"""Functions of one workload that run at once: those of its queues, and those of runs that have a slot."""
LEAST_BESIDE, MOST_BESIDE = 13, 73
"""Functions that run at once beside those, for predictions of all workloads. A new account may have only 10."""
LEAST_UNRESERVED = 100
"""How much concurrency Lambda leaves to functions without reserved or provisioned concurrency.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""


ACROSS = re.compile(r"instances across \w+ (?P<use>(spot )?training job|processing job|transform job|endpoint)s", re.I)
"""The name of a quota over all instance types, for example "Number of instances across all processing jobs"."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One quota of this account and region."""

    service: str
    code: str
    """For example `L-B99A9384`."""
    name: str
    value: float
    adjustable: bool
    """Whether AWS can raise it."""


def find_quotas(client: Any, service: str) -> dict[str, Quota]:
    """The quotas of a service, by name in lower case. `client` is boto3's Service Quotas client.

    A quota that was never changed for the account has AWS's default value."""
    found: dict[str, Quota] = {}
    # The account's own values come second and replace the defaults.
    for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode=service):
            for one in page["Quotas"]:
                found[one["QuotaName"].lower()] = Quota(
                    service=service,
                    code=one["QuotaCode"],
                    name=one["QuotaName"],
                    value=one["Value"],
                    adjustable=one["Adjustable"],
                )
    return found


def check_quotas(client: Any, required: Sequence[Need], *, workloads: int = 1, aside: int = 0) -> Iterator[Check]:
    """A check of each required quota, and of Lambda's concurrency. `unknown` if the service gives no value.

    `aside` of the concurrency is reserved for prediction functions. `client` is boto3's Service Quotas client."""
    try:
        sagemaker = find_quotas(client, "sagemaker")
        functions = find_quotas(client, "lambda")
    except ClientError as error:
        came = error.response["Error"]
        yield Check(
            name="quotas",
            needed="to list them (servicequotas:List…)",
            found=f"{came['Code']}: {came['Message']}",
            verdict="unknown",
            advice="allow it, or look into the Service Quotas console",
        )
        return
    for need in required:
        yield judge(need, sagemaker.get(need.quota.lower()))
    yield from _across(required, sagemaker.values())
    concurrency = next((one for one in functions.values() if one.code == LAMBDA_CONCURRENCY), None)
    # Lambda keeps LEAST_UNRESERVED for other functions, so what is set aside comes on top of it.
    least, reason = LEAST_BESIDE + QUEUES_AT_ONCE * workloads, "functions at once"
    least = max(least, LEAST_UNRESERVED) + aside if aside else least
    most = MOST_BESIDE + (QUEUES_AT_ONCE + MACHINES_AT_ONCE) * workloads + aside
    yield judge(Need(quota="Concurrent executions", least=least, most=most, reason=reason), concurrency)


def _across(required: Sequence[Need], listed: Iterable[Quota]) -> Iterator[Check]:
    """Checks of quotas over all instance types of one use, for example "Number of instances across all processing
    jobs".

    Accounts list different quotas of this kind. Only those that this account lists are judged."""
    for quota in listed:
        found = ACROSS.search(quota.name)
        mine = [need for need in required if found and f" {found['use'].lower()} usage" in need.quota]
        if mine:
            least, most = sum(need.least for need in mine), sum(need.most for need in mine)
            yield judge(Need(quota=quota.name, least=least, most=most, reason="all instances of this use"), quota)


def judge(need: Need, quota: Quota | None) -> Check:
    """The check of one quota: `missing` below `need.least`. Below `need.most` it is `ok`, with advice to raise it."""
    needed = f"{need.least}" if need.least == need.most else f"{need.least}, at most {need.most}"
    if quota is None:
        advice = f"look for it in the console ({need.reason})"
        return Check(name=need.quota, needed=needed, found="not listed", verdict="unknown", advice=advice)
    if quota.value >= need.most:
        return Check(name=need.quota, needed=needed, found=f"{quota.value:g}", verdict="ok", advice="")
    ask = (
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} --quota-code {quota.code} "
        f"--desired-value {need.most}"
    )
    if not quota.adjustable:
        ask = f"{quota.code} cannot be raised: choose another instance"
    verdict: Verdict = "ok" if quota.value >= need.least else "missing"
    advice = f"for all of it: {ask}" if verdict == "ok" else f"{need.reason}: {ask}"
    return Check(name=need.quota, needed=needed, found=f"{quota.value:g}", verdict=verdict, advice=advice)
