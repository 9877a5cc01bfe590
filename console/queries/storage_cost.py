"""What a workload's objects in S3 cost a month, by what S3 lists. Replaced versions of objects are not listed."""

from __future__ import annotations

from itertools import islice

from botocore.exceptions import ClientError

from console.environment import Environment
from console.queries.usage import CostLine, Rate
from millrace.aws.objects import entries_below
from millrace.names import WorkloadNames

GB_MONTH = Rate(usd=0.023, source="aws.amazon.com/s3/pricing, Standard, eu-west-1", as_of="2026-11-22")
"""The price of a GB for a month in the dearest tier: objects that nobody reads move to cheaper ones."""
BUCKETS = ("landing", "lake", "artefacts")
"""The buckets in which each workload has a folder of its name."""
MOST_OBJECTS = 200_000
"""If a bucket has more objects, the size is not known. One call lists a thousand."""


def storage_line(environment: Environment, names: WorkloadNames) -> CostLine | None:
    """Objects and GB that are stored now. None if they cannot be listed, or if a bucket has more than MOST_OBJECTS."""
    s3, objects, size = environment.client("s3"), 0, 0
    for purpose in BUCKETS:
        try:
            sizes = [
                entry["Size"]
                for entry in islice(
                    entries_below(s3, names.platform.bucket(purpose), f"{names.workload}/"), MOST_OBJECTS + 1
                )
            ]
        except ClientError:
            return None
        if len(sizes) > MOST_OBJECTS:
            return None
        objects, size = objects + len(sizes), size + sum(sizes)
    return CostLine(
        what="storage",
        instance="",
        count=objects,
        amount=size / 1e9,
        usd=size / 1e9 * GB_MONTH.usd,
        source=f"{GB_MONTH.source}, {GB_MONTH.as_of}",
    )
