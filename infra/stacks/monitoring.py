"""The monitoring room: the machine that judges windows, the function that judges the age of data, alarms."""

from __future__ import annotations

from millrace.contract.load import load_contract
from millrace.infra.constructs.alarm import WorkloadAlarms
from millrace.infra.constructs.budget import Budget
from millrace.infra.constructs.dashboard import dashboard
from millrace.infra.constructs.function import Function
from millrace.infra.constructs.machine import Machine
from millrace.infra.constructs.schedule import Schedule
from millrace.infra.iam import alarms, bus, iceberg, registry, state_table, step_functions
from millrace.infra.iam.buckets import ABSORBED, LAKE
from millrace.infra.iam.resource import resource
from millrace.infra.machines import monitor
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.events import DataLate
from millrace.monitoring.alarms import starters
from millrace.settings.environment import Environment


class MonitoringStack(WorkloadStack):
    """Judges windows by schedule. If an alarm changes its state, the training stack starts `retrain`."""

    room = "monitoring"
    in_network = True
    images = ("processing",)

    def build(self) -> None:
        context = self.context
        self._windows()
        self._publish_metrics()
        machine = Machine(
            self,
            "monitor",
            context=context,
            definition=monitor.definition(context),
            statements=monitor.statements(context),
        )
        Schedule(
            self,
            "monitor",
            context=context,
            expression=context.workload.monitors.schedule,
            target=resource("states", machine.arn).may("StartExecution"),
        )
        WorkloadAlarms(self, context=context)
        if context.settings.options.dashboards:
            dashboard(self, context)
        Budget(self, context=context)
        if load_contract(context.folder).freshness or context.workload.monitors.label_delay_hours:
            self._lateness()

    def _lateness(self) -> None:
        context, names = self.context, self.context.names
        # Only the tables of which the age is declared: rows by the contract, labels by the workload.
        tables = [
            *(["rows"] if load_contract(context.folder).freshness else []),
            *(context.workload.prediction.label_tables if context.workload.monitors.label_delay_hours else []),
        ]
        function = Function(
            self,
            "lateness",
            context=context,
            description="Rows that are older than agreed, decisions whose labels do not come",
            role=self.room,
            settings=Environment(**context.environment()),
            keeps_events=True,
            statements=[
                iceberg.tables(names, *dict.fromkeys(tables)).may("GetTable"),
                LAKE.find(names, "decisions"),
                LAKE.read(names, "iceberg"),
                bus.put_events(names, DataLate),
            ],
            timeout_s=300,
            memory_mb=1024,
        )
        Schedule.of_function(function, context=context, expression=context.settings.lateness_schedule)

    def _windows(self) -> None:
        context, names = self.context, self.context.names
        tables, policy = context.workload.prediction.label_tables, context.workload.policy
        # Which labels people were asked for stands in the report of the run that chose them.
        asks = policy is not None and policy.labels_a_day is not None
        # The time of its registration says which labels the champion may have learnt.
        doubts = policy is not None and policy.label_errors_a_day is not None
        Function(
            self,
            "plan_windows",
            context=context,
            description="The complete windows since the cursors, and what the drift job needs to judge them",
            role=self.room,
            settings=Environment(**context.environment()),
            statements=[
                state_table.own_items(names).may("GetItem", "Query"),
                step_functions.machines(names, "ingest").may("StartExecution"),
                iceberg.tables(names, *tables).may("GetTable"),
                LAKE.find(names, "decisions"),
                resource(
                    "s3", LAKE.arn(names, ABSORBED), because="Absorbed lines are named in the folder of any day"
                ).may("GetObject"),
                LAKE.read(names, "iceberg", *(["monitor"] if asks else [])),
                *([registry.versions(names).may("DescribeModelPackage")] if doubts else []),
                LAKE.write(names, "windows"),
            ],
            timeout_s=300,
            memory_mb=2048,
        )

    def _publish_metrics(self) -> None:
        context, names, policy = self.context, self.context.names, self.context.workload.policy
        moves = policy is not None and (policy.floor is not None or policy.promised_error is not None)
        # Nobody is asked again about a label that a person gave.
        looks = ("BatchGetItem",) if policy and policy.label_errors_a_day else ()
        asks = bool(looks) or (policy is not None and policy.labels_a_day is not None)
        Function(
            self,
            "publish_metrics",
            context=context,
            description="What a monitor run found becomes metrics; the cursors move",
            role=self.room,
            settings=Environment(**context.environment()),
            statements=[
                state_table.own_items(names).may("PutItem", "Query", "GetItem"),
                LAKE.read(names, "monitor"),
                alarms.named(names, *starters()).may("DescribeAlarms"),
                alarms.put_metrics(names.platform.metrics),
                # Late labels move the confidence from which answers act, or who answers, which is recorded.
                *([state_table.append_audit(names)] if moves else []),
                *([state_table.reviews(names).may("GetItem", "PutItem", *looks)] if asks else []),
            ],
        )
