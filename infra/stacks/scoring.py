"""The scoring stack: a dropped file of rows becomes a file of predictions.

The first two steps, ingestion and validation, are functions of the ingestion stack."""

from __future__ import annotations

from millrace.consumers.catalogue import of_stage, queue_of
from millrace.contract.load import load_contract
from millrace.infra.constructs.external_table import ExternalTable, Partition, column_types
from millrace.infra.constructs.function import Function
from millrace.infra.constructs.machine import Machine
from millrace.infra.iam import queues, state_table
from millrace.infra.iam.buckets import LAKE
from millrace.infra.machines import score
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.score import delivered_types
from millrace.settings.drop import DropEnvironment
from millrace.tasks import catalogue as tasks


class ScoringStack(WorkloadStack):
    """The machine `score`, the function `delivery`, and the table of delivered predictions."""

    room = "scoring"

    def build(self) -> None:
        self._delivery()
        Machine(
            self,
            "score",
            context=self.context,
            definition=score.definition(self.context),
            statements=score.statements(self.context),
        )
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

    def _delivery(self) -> None:
        context, names = self.context, self.context.names
        # Which answers act is in the state, and decisions that wait for a person come into the queue.
        draws = ["PutItem"] if context.workload.policy and context.workload.policy.held_out else []
        acts = [
            state_table.own_items(names).may("GetItem", *draws),
            state_table.reviews(names).may("GetItem", "PutItem"),
        ]
        consumers = of_stage(context.workload.consumers, context.platform.stage)
        # The live version may refuse rows that keep today's contract: delivery quarantines them.
        refused = "quarantine/feed=scoring"
        Function(
            self,
            "delivery",
            context=context,
            description="Answers and rows are joined, checked and delivered as one file",
            settings=DropEnvironment(**context.environment()),
            statements=[
                LAKE.read(names, "staging"),
                LAKE.write(names, "predictions", "decisions", refused),
                *(acts if context.workload.policy else []),
                *(queues.send(names.queue_arn(queue_of(one))) for one in consumers),
            ],
            timeout_s=900,
            memory_mb=1024,
        )
