"""Quotas of the account beside what a stage needs: roles, and SageMaker instances by type and kind of use."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from millrace.console.doctor.checks import Check, Verdict, judged
from millrace.console.environment import Environment
from millrace.console.stages import declared_options, is_production
from millrace.settings.drop import IntakeSettings
from millrace.workload.declaration import Workload

ROLES_OF_STAGE, ROLES_OF_WORKLOAD = 4, 20
"""How many roles the templates make, with a few of the stage in reserve."""


def count_roles(environment: Environment, workloads: int) -> Iterator[Check]:
    """Whether the account has room for the stage's roles. Its quota is 1,000 roles by default.

    Roles that this stage has made already count as free."""
    iam, prefix = environment.client("iam"), f"{environment.platform.prefix}-"
    summary = iam.get_account_summary()["SummaryMap"]
    own = sum(role["RoleName"].startswith(prefix) for role in environment.listed("iam", "list_roles", "Roles"))
    # The stage's own roles are counted as free again, since `needed` counts them anew.
    free = summary["RolesQuota"] - summary["Roles"] + own
    needed = ROLES_OF_STAGE + ROLES_OF_WORKLOAD * workloads
    # The quotas of IAM are those of its one region.
    ask = _request("iam", "L-FE177D64", summary["RolesQuota"] + needed - free)
    yield judged("IAM roles", f"{needed} free", f"{free} free", free >= needed, f"{ask} --region us-east-1")


def _request(service: str, code: str, value: int) -> str:
    """The command that asks for this value of a quota."""
    ask = "aws service-quotas request-service-quota-increase"
    return f"{ask} --service-code {service} --quota-code {code} --desired-value {value}"


PROCESSING = {"train": "evaluates", "monitor": "watches", "release": "starts a version before its release"}
"""Machines with a processing job and what the job does there. Each machine has one such job at a time."""
SCORING: int = IntakeSettings.model_fields["slots"].default
"""How many runs of `score` go at once, each with one transform job."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """How many instances of one type are required for one kind of use."""

    quota: str
    """The quota's name in Service Quotas, for example `ml.m5.large for processing job usage`."""
    least: int
    """With fewer instances, a part of what the workloads declare cannot run at all."""
    most: int
    """So many instances are in use when everything runs that may run at the same time."""
    reason: str


def required_instances(workloads: Iterable[Workload], stage: str) -> tuple[Need, ...]:
    """What all workloads require together, by quota.

    A workload has one training at a time. `train`, `monitor` and `release` have one processing job each, at most all
    three at once. Each run of `score` that has a slot has a transform job, with as many instances as its rows need.
    While an endpoint is updated it has two fleets and a challenger.
    Raises KeyError if a workload declares no instance for the stage."""
    found: dict[str, list[Need]] = defaultdict(list)
    for workload in workloads:
        for need in _of(workload, stage):
            found[need.quota].append(need)
    return tuple(_together(quota, required) for quota, required in sorted(found.items()))


def _of(workload: Workload, stage: str) -> tuple[Need, ...]:
    """What one workload requires."""
    rollout, name = workload.rollout, workload.name
    least, most = rollout.least_instances(production=is_production(stage)), rollout.max_instances
    count, training, serving = workload.training.instances, workload.training.instance[stage], rollout.instance[stage]
    scoring, fleets = workload.scoring.instances, f"two fleets of {least} to {most} in an update, and the challenger"
    # Two fleets during an update, and one instance for the challenger.
    rows = (
        (training, "spot training job", 0, count, f"{name} trains"),
        (training, "training job", count, count, f"{name} trains on demand when no spot instance comes"),
        (serving, "processing job", 1, len(PROCESSING), f"{name} {', '.join(PROCESSING.values())}"),
        (serving, "transform job", scoring, SCORING * scoring, f"{name} scores files, {SCORING} runs at once"),
        (serving, "endpoint", 2 * least + 1, 2 * most + 1, f"{name}: {fleets}"),
    )
    return tuple(
        Need(quota=f"{instance} for {use} usage", least=fewest, most=all_at_once, reason=reason)
        for instance, use, fewest, all_at_once, reason in rows
        if use != "endpoint" or not rollout.has_no_endpoint
    )


def _together(quota: str, required: list[Need]) -> Need:
    """What all workloads require of one quota. The least is the largest of the workloads for jobs, which can run one
    after another; for endpoints it is the sum, since they run at the same time."""
    # An endpoint stands all the time, so the instances of all workloads add up.
    stands = quota.endswith("endpoint usage")
    return Need(
        quota=quota,
        least=sum(need.least for need in required) if stands else max(need.least for need in required),
        most=sum(need.most for need in required),
        reason="; ".join(need.reason for need in required),
    )


def declared_aside(stage: str) -> int:
    """How much of Lambda's concurrency the stage sets aside for the prediction function of each workload.

    It is `prediction_reserved` in `cdk.json`, or else what `prediction_provisioned` keeps started."""
    options = declared_options(stage)
    return int(options.get("prediction_reserved") or options.get("prediction_provisioned", 0))


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
        needed, advice = "to list them (servicequotas:List…)", "allow it, or look into the Service Quotas console"
        yield judged("quotas", needed, f"{came['Code']}: {came['Message']}", "unknown", advice)
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
    ask = _request(quota.service, quota.code, need.most)
    if not quota.adjustable:
        ask = f"{quota.code} cannot be raised: choose another instance"
    verdict: Verdict = "ok" if quota.value >= need.least else "missing"
    advice = f"for all of it: {ask}" if verdict == "ok" else f"{need.reason}: {ask}"
    return Check(name=need.quota, needed=needed, found=f"{quota.value:g}", verdict=verdict, advice=advice)
