"""The projected cost of a run, from a static price table.

AWS is never asked for a price, neither at synth nor in a run: so templates are the same everywhere and need no network.
The prices are on-demand list prices in US dollars an hour. A projection is an upper bound: a spot run costs less, and
REGION_FACTOR covers that other regions cost up to a fifth more than us-east-1.

To refresh a row, look its price up in the AWS Price List (service code AmazonSageMaker) and write the date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.errors import ConfigurationError

REGION_FACTOR = 1.2
"""The price in the dearest of the common regions ÷ the price in us-east-1. A budget needs an upper bound."""

TABLES = "public SageMaker price tables in open source code, us-east-1"
EC2 = "EC2 list price, us-east-1, times 1.2 (SageMaker's surcharge on this generation)"
P5 = "EC2 list price before the cuts of June 2025, us-east-1, times 1.15"


@dataclass(frozen=True, kw_only=True)
class Price:
    """One row of the table: what an instance type costs, and the source and date (`as_of`) of the price."""

    usd_per_hour: float
    memory_gib: int
    """Its memory: https://aws.amazon.com/ec2/instance-types/."""
    source: str
    as_of: str
    gpus: int = 0


PRICES: dict[str, Price] = {
    "ml.t3.medium": Price(usd_per_hour=0.05, memory_gib=4, source=EC2, as_of="2026-11-20"),
    "ml.m5.large": Price(usd_per_hour=0.115, memory_gib=8, source=EC2, as_of="2026-11-20"),
    "ml.m5.xlarge": Price(usd_per_hour=0.23, memory_gib=16, source=TABLES, as_of="2026-11-20"),
    "ml.c6i.xlarge": Price(usd_per_hour=0.204, memory_gib=8, source=EC2, as_of="2026-11-20"),
    "ml.c7i.4xlarge": Price(usd_per_hour=0.945, memory_gib=32, source=TABLES, as_of="2026-11-20"),
    "ml.t2.medium": Price(usd_per_hour=0.056, memory_gib=4, source=EC2, as_of="2026-11-26"),
    "ml.g5.xlarge": Price(usd_per_hour=1.408, memory_gib=16, source=TABLES, as_of="2026-11-20", gpus=1),
    "ml.g6.xlarge": Price(usd_per_hour=1.127, memory_gib=16, source=TABLES, as_of="2026-11-20", gpus=1),
    "ml.p4d.24xlarge": Price(usd_per_hour=37.688, memory_gib=1152, source=TABLES, as_of="2025-06-01", gpus=8),
    "ml.p5.48xlarge": Price(usd_per_hour=113.07, memory_gib=2048, source=P5, as_of="2025-06-01", gpus=8),
}
"""By instance type."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The price of one unit of a service, its source, and the date on which it was read."""

    usd: float
    source: str
    as_of: str = "2026-11-21"


SPARK = "public prices of EMR Serverless in open source code, us-east-1, x86"
LAMBDA = "aws.amazon.com/lambda/pricing, eu-west-1, Arm"
RATES = {
    "lambda call": Rate(usd=0.20 / 1e6, source=LAMBDA),
    "lambda GB second": Rate(usd=0.0000133334, source=LAMBDA),
    "lambda provisioned GB second": Rate(usd=0.0000033334, source=f"{LAMBDA}, provisioned concurrency"),
    "queue request": Rate(usd=0.40 / 1e6, source="aws.amazon.com/sqs/pricing, standard queues"),
    "stream hour": Rate(usd=0.04, source="aws.amazon.com/kinesis/data-streams/pricing, on demand"),
    "image GB month": Rate(usd=0.10, source="aws.amazon.com/ecr/pricing, private repositories"),
    "key month": Rate(usd=1.00, source="aws.amazon.com/kms/pricing, customer managed keys"),
    "dashboard month": Rate(usd=3.00, source="aws.amazon.com/cloudwatch/pricing, beyond three an account"),
    "stored GB month": Rate(usd=0.023, source="aws.amazon.com/s3/pricing, Standard, eu-west-1"),
    "scanned byte": Rate(usd=5.0 / 1e12, source="athena.guide/articles/athena-basics-pricing-model"),
    "spark vCPU hour": Rate(usd=0.052624, source=SPARK, as_of="2026-11-29"),
    "spark GB hour": Rate(usd=0.0057785, source=SPARK, as_of="2026-11-29"),
    "spark disk GB hour": Rate(usd=0.000111, source=f"{SPARK}, beyond 20 GB of a worker", as_of="2026-11-29"),
}
"""The prices of all that is not billed by the hour of an instance; for stored GB the dearest tier. What every account
has free is not taken off."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """`count` instances of one type for `minutes` each."""

    instance: str
    count: int
    minutes: float


def usd_per_hour(instance: str) -> float:
    """The upper bound of the instance type's price an hour. Raises ConfigurationError for a type without a price."""
    return price_of(instance).usd_per_hour * REGION_FACTOR


def price_of(instance: str) -> Price:
    """The instance type's row. Raises ConfigurationError for a type without a price."""
    if instance in PRICES:
        return PRICES[instance]
    expected = f"one of {', '.join(PRICES)}"
    raise ConfigurationError(where="millrace/workload/prices.py", field="instance", expected=expected, came=instance)


def gpus_of(instance: str) -> int:
    """The number of processes that train on such an instance: one for each GPU, or one without a GPU.

    It is one for an unknown type too. Such a type is refused elsewhere, since it has no price."""
    return max(1, PRICES[instance].gpus if instance in PRICES else 1)


def projected_usd(usages: Sequence[Usage]) -> float:
    """The sum of instances × price × hours, in US dollars. Raises ConfigurationError for a type without a price."""
    return sum(usd_per_hour(usage.instance) * usage.count * usage.minutes / 60 for usage in usages)
