"""What the demo plays: one workload's chapters, and what the page says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from console.demo.driver import Driver
from console.local_cloud.local_cloud import PLATFORM
from millrace.names import WorkloadNames

WORKLOADS = Path(__file__).resolve().parents[2] / "workloads"


@dataclass(frozen=True, kw_only=True)
class Story:
    """One workload of `workloads/`, played in a local cloud of its own: the clocks of two stories differ."""

    workload: str
    start: datetime
    """The cloud's clock at the start."""
    play: Callable[[Driver], None]
    """Plays the chapters, one after another."""
    machines: tuple[str, ...]
    """Those of the workload's machines that run in it."""
    span: str
    """The time that passes in it: `fourteen months`."""
    page: str
    """The file of its report in the build folder: `report.html`."""

    @property
    def names(self) -> WorkloadNames:
        return WorkloadNames(platform=PLATFORM, workload=self.workload)

    @property
    def folder(self) -> Path:
        """The workload's folder."""
        return WORKLOADS / self.workload
