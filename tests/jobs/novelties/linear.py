"""A family's declaration: one weight for each number and for each category."""

from __future__ import annotations

from typing import ClassVar

from millrace.errors import WorkloadError
from millrace.features.signature import Signature
from millrace.models.parameters import Parameters
from millrace.tasks.task import Task


class Linear(Parameters):
    """No hyperparameters but those of every family."""

    network: ClassVar[str] = "tests.jobs.novelties.linear_network:Network"

    def accepts(self, signature: Signature, task: Task) -> None:
        if {spec.name for spec in signature} != {"numbers", "categories"}:
            came = [spec.name for spec in signature]
            raise WorkloadError(where="workload.yaml", field="prediction.features", expected="both", came=came)
