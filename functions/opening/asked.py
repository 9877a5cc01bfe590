"""What the opening is asked and what it answers."""

from __future__ import annotations

from typing import Any

from functions.opening.endpoints import Standing
from millrace.invocation import Asked, Part
from millrace.registry import Package
from millrace.release import Outcome
from millrace.state import Pointers


class Registered(Part):
    package_arn: str


class Opening(Asked):
    """The input of a release execution."""

    detail: Registered


def answer(
    package: Package, pointers: Pointers, *, outcome: Outcome, live: Standing, challenger: Standing
) -> dict[str, Any]:
    """What the machine's later states read."""
    return {
        "outcome": outcome,
        "package_arn": package.arn,
        "version": package.version,
        "run_name": package.metadata["run"],
        "image": package.image,
        "model_data_url": package.model_data_url,
        "previous_version": pointers.champion.version if pointers.champion else "none",
        "has_live": live == "in_service",
        "has_challenger": challenger == "in_service",
    }
