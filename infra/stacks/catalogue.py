"""The rooms of a workload, one stack each. Add a room here."""

from __future__ import annotations

from infra.stacks.ingestion import IngestionStack
from infra.stacks.monitoring import MonitoringStack
from infra.stacks.release import ReleaseStack
from infra.stacks.scoring import ScoringStack
from infra.stacks.serving import ServingStack
from infra.stacks.teardown import TeardownStack
from infra.stacks.training import TrainingStack
from infra.stacks.workload import WorkloadStack

ROOMS: tuple[type[WorkloadStack], ...] = (
    IngestionStack,
    TrainingStack,
    ReleaseStack,
    ServingStack,
    ScoringStack,
    MonitoringStack,
    TeardownStack,
)
