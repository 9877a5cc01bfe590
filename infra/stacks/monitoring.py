"""The monitoring room: the machine that judges windows, the function that judges the age of data, alarms."""

from __future__ import annotations

from millrace.infra.constructs.alarm import WorkloadAlarms
from millrace.infra.constructs.budget import Budget
from millrace.infra.constructs.dashboard import dashboard
from millrace.infra.constructs.schedule import Schedule
from millrace.infra.iam.resource import resource
from millrace.infra.machines import monitor
from millrace.infra.stacks.workload import WorkloadStack


class MonitoringStack(WorkloadStack):
    """Judges windows by schedule. If an alarm changes its state, the training stack starts `retrain`."""

    room = "monitoring"
    in_network = True
    images = ("processing",)

    def build(self) -> None:
        context = self.context
        self.functions()
        machine = self.machine(monitor)
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
