"""The scoring stack: a dropped file of rows becomes a file of predictions.

The first two steps, ingestion and validation, are functions of the ingestion stack."""

from __future__ import annotations

from millrace.contract.load import load_contract
from millrace.infra.constructs.external_table import ExternalTable, Partition, column_types
from millrace.infra.machines import score
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.score import delivered_types
from millrace.tasks import catalogue as tasks


class ScoringStack(WorkloadStack):
    """The machine `score`, the function `delivery`, and the table of delivered predictions."""

    room = "scoring"

    def build(self) -> None:
        self.functions()
        self.machine(score)
        contract = load_contract(self.context.folder)
        workload = self.context.workload
        task = tasks.declare(workload.prediction, contract.label)
        ExternalTable(
            self,
            "predictions",
            context=self.context,
            description="Delivered batch predictions; every query says which run",
            columns=column_types(contract.table("scoring"))
            | delivered_types(task, workload.policy, workload.prediction.dates),
            partitions=(Partition.named("run"),),
        )
