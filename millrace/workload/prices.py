"""What a run is projected to cost, from a static price table.

The table is never looked up at synth or in a run: templates stay the same everywhere and need no network.
On-demand list prices in US dollars an hour; a spot run costs less, so a projection is an upper bound. Other regions
cost up to a fifth more than us-east-1: REGION_FACTOR covers it. Refresh a row from the AWS Price List
(service code AmazonSageMaker) and write its date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.errors import ConfigurationError

REGION_FACTOR = 1.2
"""From us-east-1 to the dearest of the common regions; an upper bound is what a budget needs."""

TABLES = "public SageMaker price tables in open source code, us-east-1"
EC2 = "EC2 list price, us-east-1, times 1.2 (SageMaker's surcharge on this generation)"
P5 = "EC2 list price before the cuts of June 2025, us-east-1, times 1.15"


@dataclass(frozen=True, kw_only=True)
class Price:
    """One row: what an instance costs and where that was read."""

    instance: str
    usd_per_hour: float
    source: str
    as_of: str
    gpus: int = 0


PRICES: tuple[Price, ...] = (
    Price(instance="ml.t3.medium", usd_per_hour=0.05, source=EC2, as_of="2026-11-20"),
    Price(instance="ml.m5.large", usd_per_hour=0.115, source=EC2, as_of="2026-11-20"),
    Price(instance="ml.m5.xlarge", usd_per_hour=0.23, source=TABLES, as_of="2026-11-20"),
    Price(instance="ml.c6i.xlarge", usd_per_hour=0.204, source=EC2, as_of="2026-11-20"),
    Price(instance="ml.c7i.4xlarge", usd_per_hour=0.945, source=TABLES, as_of="2026-11-20"),
    Price(instance="ml.g5.xlarge", usd_per_hour=1.408, source=TABLES, as_of="2026-11-20", gpus=1),
    Price(instance="ml.g6.xlarge", usd_per_hour=1.127, source=TABLES, as_of="2026-11-20", gpus=1),
    Price(instance="ml.p4d.24xlarge", usd_per_hour=37.688, source=TABLES, as_of="2025-06-01", gpus=8),
    Price(instance="ml.p5.48xlarge", usd_per_hour=113.07, source=P5, as_of="2025-06-01", gpus=8),
)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Instances of one kind for some time."""

    instance: str
    count: int
    minutes: float


def usd_per_hour(instance: str) -> float:
    """The upper bound of the instance's hourly price; raises ConfigurationError for one without a row."""
    for price in PRICES:
        if price.instance == instance:
            return price.usd_per_hour * REGION_FACTOR
    known = ", ".join(price.instance for price in PRICES)
    raise ConfigurationError(
        where="millrace/workload/prices.py", field="instance", expected=f"one of {known}", came=instance
    )


def is_known(instance: str) -> bool:
    """Whether it has a price."""
    return any(price.instance == instance for price in PRICES)


def gpus_of(instance: str) -> int:
    """Processes that train on such an instance: one for each GPU, else one. An unknown one counts as one; its price
    stops it."""
    return max(1, next((price.gpus for price in PRICES if price.instance == instance), 1))


def projected_usd(usages: Sequence[Usage]) -> float:
    """Instances × price × hours, summed; raises ConfigurationError for an unknown instance."""
    return sum(usd_per_hour(usage.instance) * usage.count * usage.minutes / 60 for usage in usages)
