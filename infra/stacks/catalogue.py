"""The rooms of a workload, one stack each. Add a room here."""

from __future__ import annotations

from millrace.infra.stacks.ingestion import IngestionStack
from millrace.infra.stacks.monitoring import MonitoringStack
from millrace.infra.stacks.release import ReleaseStack
from millrace.infra.stacks.scoring import ScoringStack
from millrace.infra.stacks.serving import ServingStack
from millrace.infra.stacks.teardown import TeardownStack
from millrace.infra.stacks.training import TrainingStack
from millrace.infra.stacks.workload import WorkloadStack

ROOMS: tuple[type[WorkloadStack], ...] = (
    IngestionStack,
    TrainingStack,
    ReleaseStack,
    ServingStack,
    ScoringStack,
    MonitoringStack,
    TeardownStack,
)
