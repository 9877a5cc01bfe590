"""The ingestion room: a dropped file becomes a version of a table. Its functions make and change the tables."""

from __future__ import annotations

from typing import Any

from constructs import Construct

from millrace.contract.odcs import check_contract
from millrace.contract.schema import FEEDS
from millrace.datasets.quarantine import COLUMNS
from millrace.files.origin import image_columns
from millrace.infra.constructs.external_table import EARLIEST, ExternalTable, Partition
from millrace.infra.constructs.function import Function
from millrace.infra.constructs.machine import Machine
from millrace.infra.constructs.queue import Queue, feed
from millrace.infra.constructs.role import machines_role
from millrace.infra.constructs.rule import Rule
from millrace.infra.constructs.schedule import Schedule
from millrace.infra.constructs.spark import spark
from millrace.infra.iam import functions, queues, state_table, step_functions
from millrace.infra.iam.buckets import LAKE
from millrace.infra.iam.resource import resource
from millrace.infra.iam.spark import plan
from millrace.infra.machines import ingest, query, upkeep
from millrace.infra.settings import StageSettings
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.execution import FAILURES
from millrace.names import BULK
from millrace.settings.drop import IntakeSettings
from millrace.workload.fit import check_fit

RECEIVES = 20
"""Deliveries of one drop before it is a dead letter: an hour of AWS's errors. Waiting for a free slot costs none."""
GATHERED, GATHERED_LOCALLY = {"batch": 25, "window_s": 5}, {"batch": 10, "window_s": 0}
"""Drops that come within the window of seconds go together, and a single drop waits until the window ends.

Without a window Lambda takes the drops that are there, 10 at most.
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"""
REFUSED_SINCE = "2026-01-01"
"""First date of the table of refused rows, which lie under the day of their drop. Before it there was no stage."""


class IngestionStack(WorkloadStack):
    """The intake of every feed, the machine `ingest`, and the table of refused rows."""

    room = "ingestion"

    def __init__(self, scope: Construct, *, settings: StageSettings, **more: Any) -> None:
        if settings.options.bulk:
            self.in_network, self.images = True, (BULK,)
        super().__init__(scope, settings=settings, **more)

    def build(self) -> None:
        is_local = self.context.platform.stage == "local"
        bulk = self.context.settings.options.bulk
        contract = check_fit(self.context.workload, check_contract(self.context.folder))
        # A drop may name objects of the folder `objects` in place of the bytes of images (`millrace.files.manifest`).
        self._intake(has_images=bool(image_columns(contract.rows)))
        more, joins = dict[str, Any](), dict[str, Any]()
        if bulk:
            names = self.context.names
            reserve = state_table.own_items(names).may("GetItem", "UpdateItem")
            staged = [LAKE.find(names, "staging"), LAKE.read(names, "staging"), LAKE.write(names, "staging")]
            more = {"bulk_mb": bulk.above_mb, "statements": [*plan(names), reserve]}
            joins = {"bulk_mb": bulk.above_mb, "statements": [*staged, reserve]}
        self.function("ingestion", **more)
        self.function("upkeep", **joins)
        self.functions("ingestion", "upkeep")
        application = spark(self, self.context, bulk) if bulk else ""
        self.machine(ingest, application=application)
        # The clock of the local cloud is moved by months, and each night would be made up for.
        nightly = "cron(30 3 1 * ? *)" if is_local else "cron(30 3 * * ? *)"
        self._scheduled(self.machine(upkeep, application=application), upkeep=nightly)
        if queries := self.context.workload.queries:
            schedules = {query.schedule_of(name): declared.schedule for name, declared in queries.items()}
            self._scheduled(self.machine(query), **schedules)
        for name, source in self.context.workload.sources_of(self.context.platform.stage).items():
            read = functions.invoke(self.context.names.function_arn("sources"))
            schedule = Schedule(self, f"source-{name}", context=self.context, expression=source.schedule, target=read)
            schedule.node.add_dependency(self.node.find_child("sources"))
        ExternalTable(
            self,
            "quarantine",
            context=self.context,
            description="Rows that were refused, with the reason and where they stood",
            columns=COLUMNS,
            # The clock of the local cloud may be moved to any year.
            partitions=(
                Partition.of("feed", *FEEDS),
                Partition.by_date(since=EARLIEST if is_local else REFUSED_SINCE),
            ),
        )

    def _intake(self, *, has_images: bool) -> None:
        context, names = self.context, self.context.names
        queue = Queue(
            self, "drops", context=context, visibility_s=180, receives=RECEIVES, senders=["events.amazonaws.com"]
        )
        started, digest = ("ingest", "score"), "An execution is named by the digest of its drops"
        intake = Function(
            self,
            "intake",
            context=context,
            role=machines_role(self.room),
            settings=IntakeSettings(
                **context.environment(),
                queue_url=queue.url,
                dead_queue_url=f"{queue.url}-dead",
                has_images=has_images,
            ),
            statements=[
                step_functions.machines(names, *started).may("StartExecution"),
                step_functions.executions(names, *started, because=digest).may("DescribeExecution"),
                queues.send(queue.arn),
                queues.send(queue.dead_arn),
                queues.receive(queue.arn),
                state_table.own_items(names).may("GetItem", "PutItem", "Query", "UpdateItem"),
            ],
            # A waiting drop is a message that is sent again and again. Lambda would stop such a loop after 16 times.
            feeds_itself=True,
        )
        gathered = GATHERED_LOCALLY if context.platform.stage == "local" else GATHERED
        feed(self, queue, intake, **gathered, concurrency=5)
        # Failed executions come to the same queue: the intake starts the drops of a failed group one by one. They share
        # the rule of the drops, since the default bus takes 300 rules for all workloads of the account.
        dropped = {
            "bucket": {"name": [context.platform.bucket("landing")]},
            "object": {"key": [{"prefix": f"{names.workload}/{feed}/"} for feed in FEEDS]},
        }
        failed = {
            "stateMachineArn": [names.machine_arn(machine) for machine in started],
            "status": [*FAILURES],
        }
        pattern = {
            "source": ["aws.s3", "aws.states"],
            "detail-type": ["Object Created", "Step Functions Execution Status Change"],
            "detail": {"$or": [dropped, failed]},
        }
        Rule(self, "drop", context=context, pattern=pattern, bus=None, dead=queue).to_queue(queue.arn)

    def _scheduled(self, machine: Machine, **schedules: str) -> None:
        """Start the machine by these schedules, each with its expression."""
        start = resource("states", machine.arn).may("StartExecution")
        for name, expression in schedules.items():
            Schedule(self, name, context=self.context, expression=expression, target=start).node.add_dependency(machine)
