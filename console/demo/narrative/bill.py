"""What the runs would cost on AWS: quantities as the services report them, times list prices. An estimate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from console.demo.narrative.usage import Job, Standing, Usage
from console.pages.story import Cost
from millrace.workload.prices import PRICES, REGION_FACTOR, usd_per_hour

WRITES = ("s3:PutObject", "s3:CopyObject", "s3:ListObjectsV2", "s3:ListObjectVersions", "s3:UploadPart")
READS = ("s3:GetObject", "s3:HeadObject")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What one unit costs, and where and when that was read."""

    usd: float
    source: str
    as_of: str


LAMBDA_REQUEST = Rate(usd=0.20 / 1e6, source="aws.amazon.com/lambda/pricing, eu-west-1, x86", as_of="2026-11-20")
LAMBDA_GB_S = Rate(usd=0.0000166667, source="aws.amazon.com/lambda/pricing, eu-west-1, x86", as_of="2026-11-20")
TRANSITION = Rate(usd=0.025 / 1e3, source="aws.amazon.com/step-functions/pricing, eu-west-1", as_of="2026-11-20")
S3_WRITE = Rate(usd=0.005 / 1e3, source="aws.amazon.com/s3/pricing, Standard, eu-west-1", as_of="2026-11-20")
S3_READ = Rate(usd=0.0004 / 1e3, source="aws.amazon.com/s3/pricing, Standard, eu-west-1", as_of="2026-11-20")


def costs(usage: Usage) -> tuple[Cost, ...]:
    """One line for each kind of work, the dearest first; what is not listed is not counted."""
    lines = [
        *([_endpoint(usage.endpoint)] if usage.endpoint else []),
        *_jobs(usage.jobs),
        _functions(usage),
        _line("Step Functions", f"{usage.transitions:,} transitions", usage.transitions * TRANSITION.usd, TRANSITION),
        _requests(usage),
    ]
    return tuple(sorted(lines, key=lambda cost: -cost.usd))


def _endpoint(standing: Standing) -> Cost:
    hours = standing.hours * standing.count
    return Cost(
        what=f"live endpoint, {standing.instance}",
        quantity=f"{standing.count} instance, day and night for {standing.hours / 24:,.0f} days of the inputs' clock",
        usd=hours * usd_per_hour(standing.instance),
        source=_instance_source(standing.instance),
    )


def _jobs(jobs: Iterable[Job]) -> list[Cost]:
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.kind, job.instance].append(job)
    return [_group(kind, instance, group) for (kind, instance), group in groups.items()]


def _group(kind: str, instance: str, jobs: list[Job]) -> Cost:
    seconds = sum(job.seconds * job.count for job in jobs)
    name = f"{len(jobs)} jobs" if len(jobs) > 1 else "1 job"
    return Cost(
        what=f"{kind}, {instance}",
        quantity=f"{name}, {seconds:,.1f} s as measured here",
        usd=seconds / 3600 * usd_per_hour(instance),
        source=_instance_source(instance),
    )


def _functions(usage: Usage) -> Cost:
    usd = usage.invocations * LAMBDA_REQUEST.usd + usage.gb_seconds * LAMBDA_GB_S.usd
    return _line("Lambda", f"{usage.invocations:,} calls, {usage.gb_seconds:,.0f} GB-s", usd, LAMBDA_GB_S)


def _requests(usage: Usage) -> Cost:
    writes, reads = (sum(usage.calls.get(name, 0) for name in names) for names in (WRITES, READS))
    usd = writes * S3_WRITE.usd + reads * S3_READ.usd
    return _line("S3 requests", f"{writes:,} writes and lists, {reads:,} reads", usd, S3_WRITE)


def _line(what: str, quantity: str, usd: float, rate: Rate) -> Cost:
    return Cost(what=what, quantity=quantity, usd=usd, source=f"{rate.source}, {rate.as_of}")


def _instance_source(instance: str) -> str:
    """Raises StopIteration for an instance without a price, as its price raises before."""
    price = next(price for price in PRICES if price.instance == instance)
    return f"{price.source}; times {REGION_FACTOR} for the dearest region; {price.as_of}"
