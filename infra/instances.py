"""Which of SageMaker's instance types have a disk of their own."""

from __future__ import annotations

WITH_OWN_DISK = ("c5d", "c6gd", "c6id", "c7gd", "g4dn", "g5", "g6", "g6e", "m5d", "m6gd", "m6id", "m7gd", "p3dn",
                 "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "r5d", "r6gd", "r6id", "r7gd", "trn1", "trn1n",
                 "trn2")  # fmt: skip
"""Families with a local NVMe disk. They encrypt it themselves, and SageMaker refuses a volume key for them."""


def has_own_disk(instance: str) -> bool:
    """Whether the instance type `ml.<family>.<size>` encrypts its disk itself, and so takes no volume key."""
    return instance.split(".")[1] in WITH_OWN_DISK
