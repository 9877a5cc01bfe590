"""The scoring room: a dropped file of rows comes back as a file of predictions."""

from __future__ import annotations

from infra.constructs.external_table import ExternalTable, Partition, column_types
from infra.constructs.function import Function
from infra.constructs.machine import Machine
from infra.constructs.statements import allow, list_objects, read_objects, read_versions, write_objects
from infra.machines import score
from infra.stacks.workload import WorkloadStack
from millrace.contract.load import load_contract
from millrace.messages.score import ANSWER_TYPES
from millrace.settings.delivery import DeliverySettings
from millrace.settings.sharding import ShardingSettings


class ScoringStack(WorkloadStack):
    """The machine `score`, its two functions, and the table of what they deliver."""

    room = "scoring"

    def build(self) -> None:
        self._sharding()
        self._delivery()
        Machine(
            self,
            "score",
            context=self.context,
            definition=score.definition(self.context),
            statements=score.statements(self.context),
        )
        rows = load_contract(self.context.folder).table("scoring")
        ExternalTable(
            self,
            "predictions",
            context=self.context,
            description="Delivered batch predictions; every query says which run",
            columns=column_types(rows) | ANSWER_TYPES,
            partitions=(Partition.named("run"),),
        )

    def _sharding(self) -> None:
        context = self.context
        names, platform = context.names, context.platform
        lake, workload = platform.bucket("lake"), names.workload
        Function(
            self,
            "sharding",
            context=context,
            description="A scoring drop becomes shards for batch transform; bad rows are quarantined",
            settings=ShardingSettings(**context.environment()),
            statements=[
                read_objects(platform.bucket("landing"), f"{workload}/scoring/"),
                read_versions(platform.bucket("landing"), f"{workload}/scoring/"),
                list_objects(platform.bucket("landing"), f"{workload}/scoring/"),
                write_objects(lake, f"{workload}/staging/", f"{workload}/quarantine/feed=scoring/"),
                allow(
                    "dynamodb:GetItem",
                    on=platform.table_arn(platform.state_table),
                    where={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [workload]}},
                ),
            ],
            timeout_s=900,
            memory_mb=3008,
        )

    def _delivery(self) -> None:
        context = self.context
        lake, workload = context.platform.bucket("lake"), context.names.workload
        Function(
            self,
            "delivery",
            context=context,
            description="Answers and rows are joined, checked and delivered as one file",
            settings=DeliverySettings(**context.environment()),
            statements=[
                read_objects(lake, f"{workload}/staging/"),
                write_objects(lake, f"{workload}/predictions/"),
            ],
            timeout_s=900,
            memory_mb=1024,
        )
