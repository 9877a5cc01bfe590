"""What the demo plays: one workload's chapters, and what the page says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from console.demo.driver import Driver
from console.local_cloud.local_cloud import PLATFORM
from millrace.names import MACHINES, WorkloadNames

WORKLOADS = Path(__file__).resolve().parents[2] / "workloads"

TWICE_A_MONTH = (
    "The clock stops twice a month, on the 1st and the 15th. The rows of a month's second half and all labels of the "
    "month are sent on its 15th, so they are ahead of the clock by up to half a month."
)
"""For the page of a story whose months are lived through in two steps."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """One workload of `workloads/`, played in a local cloud of its own: the clocks of two stories differ."""

    workload: str
    start: datetime
    """The cloud's clock at the start."""
    play: Callable[[Driver], None]
    """Plays the chapters, one after another."""
    machines: tuple[str, ...] = MACHINES
    """Those of the workload's machines that run in it."""
    span: str
    """The time that passes in it: `fourteen months`."""
    page: str
    """The file of its report in the build folder: `report.html`."""
    note: str = ""
    """What the reader of its page must know of when people act in it; empty for nothing."""

    @property
    def names(self) -> WorkloadNames:
        return WorkloadNames(platform=PLATFORM, workload=self.workload)

    @property
    def folder(self) -> Path:
        """The workload's folder."""
        return WORKLOADS / self.workload
