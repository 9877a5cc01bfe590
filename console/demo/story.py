"""A story of the demo: the chapters of one workload, and what its page says about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from millrace.console.demo.driver import Driver
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.names import MACHINES, QUERY, WorkloadNames
from millrace.workload.load import SUITE

WORKLOADS = SUITE / "workloads"

TWICE_A_MONTH = (
    "The clock stops twice a month, on the 1st and the 15th. The rows of a month's second half and all labels of the "
    "month are sent on its 15th, so they are ahead of the clock by up to half a month."
)
"""A note for the page of a story whose months have two steps each."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """One workload of `workloads/`, played in a local cloud of its own, as each story has its own clock."""

    workload: str
    start: datetime
    """The cloud's clock at the start, UTC."""
    play: Callable[[Driver], None]
    """Plays the chapters one after another."""
    machines: tuple[str, ...] = tuple(machine for machine in MACHINES if machine != QUERY)
    """The machines of the workload that run in the story. No story has a scheduled query."""
    span: str
    """The time that passes in the story: `fourteen months`."""
    page: str
    """The file of its report page in the build folder: `report.html`."""
    note: str = ""
    """What a reader of the page must know about when people act; empty if there is nothing to know."""

    @property
    def names(self) -> WorkloadNames:
        return WorkloadNames(platform=PLATFORM, workload=self.workload)

    @property
    def folder(self) -> Path:
        """The workload's folder."""
        return WORKLOADS / self.workload
