"""What the opening is asked and what it answers."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import model_validator

from functions.start_release.endpoints import Standing
from millrace.messages.envelope import Asked, Part
from millrace.release.promotion import Outcome, Rollback
from millrace.release.registry import Package
from millrace.state.table import Pointers
from millrace.workload.rollout import Phase, Phases


class Registered(Part):
    package_arn: str


class Rollout(Part):
    phases: Phases


class Opening(Asked):
    """The input of a release execution: the package that was registered, or a rollback."""

    detail: Registered | None = None
    rollback: Rollback | None = None
    rollout: Rollout

    @model_validator(mode="after")
    def _one_of_both(self) -> Opening:
        if (self.detail is None) == (self.rollback is None):
            came = "neither" if self.detail is None else "both"
            raise ValueError(f"expected detail.package_arn (a registered model) or rollback, got {came}")
        return self


def label_of(version: str, execution: str) -> str:
    """`v2-1f0e4a`: the middle of the names of models and configurations, another one for each execution.

    A version that is released a second time would else meet its own names."""
    return f"v{version}-{hashlib.sha256(execution.encode()).hexdigest()[:6]}"


def answer(
    package: Package,
    pointers: Pointers,
    *,
    label: str,
    phases: tuple[Phase, ...],
    outcome: Outcome,
    live: Standing,
    challenger: Standing,
) -> dict[str, Any]:
    """What the machine's later states read."""
    return {
        "outcome": outcome,
        "label": label,
        "has_canary": "canary" in phases,
        "package_arn": package.arn,
        "version": package.version,
        "run_name": package.metadata["run"],
        "image": package.image,
        "model_data_url": package.model_data_url,
        "previous_version": pointers.champion.version if pointers.champion else "none",
        "has_live": live == "in_service",
        "has_challenger": challenger == "in_service",
    }
