"""Rule: everything that the stacks of a stage make together stays within the quotas that AWS gives every account.

Accounts differ in what else they have, in raised quotas, and in the instances that SageMaker lets them start. That is
checked by `millrace doctor`. For an account with a higher quota, change its figure in `QUOTAS`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from millrace.infra.rules.assembly import Finding, Stack, given, resources, text


@dataclass(frozen=True, kw_only=True)
class DefaultQuota:
    """One default quota, and how to count what the stacks take of it."""

    what: str
    most: int
    source: str
    taken: Callable[[Sequence[Stack]], Counter[str]]
    """Counts by whatever has a quota of its own: the account, each bus, or each bucket."""


def _roles(stacks: Sequence[Stack]) -> Counter[str]:
    return Counter({"account": len(list(resources(stacks, "AWS::IAM::Role")))})


def _rules(stacks: Sequence[Stack]) -> Counter[str]:
    rules = resources(stacks, "AWS::Events::Rule")
    return Counter(f"bus {text(one.properties.get('EventBusName', 'default'))}" for one in rules)


def _lifecycle(stacks: Sequence[Stack]) -> Counter[str]:
    found = Counter[str]()
    for one in resources(stacks, "AWS::S3::Bucket"):
        rules = given(one.properties, "LifecycleConfiguration", "Rules") or ()
        found[f"bucket {text(one.properties.get('BucketName', ''))}"] += len(rules)
    return found


def _kept(stacks: Sequence[Stack]) -> Counter[str]:
    """Concurrent executions of functions that are set aside: reserved for one function, or kept started."""
    called = resources(stacks, "AWS::Lambda::Alias", "AWS::Lambda::Version")
    kept = ("ProvisionedConcurrencyConfig", "ProvisionedConcurrentExecutions")
    started = (given(one.properties, *kept) for one in called)
    functions = resources(stacks, "AWS::Lambda::Function")
    reserved = (one.properties.get("ReservedConcurrentExecutions") for one in functions)
    return Counter({"account": sum(number or 0 for number in (*started, *reserved))})


QUOTAS = (
    DefaultQuota(
        what="roles",
        most=1000,
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
        taken=_roles,
    ),
    DefaultQuota(
        what="rules",
        most=300,  # 100 in Cape Town and Milan
        source="https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html",
        taken=_rules,
    ),
    DefaultQuota(
        what="lifecycle rules",
        most=1000,
        source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html",
        taken=_lifecycle,
    ),
    DefaultQuota(
        what="functions at once set aside",
        most=900,  # of 1,000; Lambda leaves 100 to all other functions
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html",
        taken=_kept,
    ),
)


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each quota that the stacks alone exceed."""
    for quota in QUOTAS:
        for where, taken in quota.taken(stacks).items():
            if taken > quota.most:
                yield Finding(where=where, expected=f"{quota.most} {quota.what} at most ({quota.source})", came=taken)
