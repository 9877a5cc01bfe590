"""Alarms of the catalogues as resources: each on its metrics, and the composite alarm that notifies for several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from millrace.consumers.catalogue import of_stage
from millrace.infra.context import Context
from millrace.monitoring.alarms import figure_alarms, monitor_alarms
from millrace.operations.alarms import (
    ALARMS,
    COMPOSITE,
    SECTION_ALARMS,
    SERVING,
    OperationsAlarm,
    Severity,
    WatchedMetric,
    consumer_alarms,
    runbook,
    serving_alarms,
)


class Alarm(Construct):
    """The alarm `name` of a catalogue, deployed as `alarm_name`.

    It reads `metrics`. Rules of the stage tell of its changes; if there is a topic, it sends a message itself."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        alarm: OperationsAlarm[Any],
        *,
        alarm_name: str,
        about: str,
        metrics: Sequence[WatchedMetric],
        threshold: float,
        topic_arn: str = "",
    ) -> None:
        super().__init__(scope, f"{name}-alarm")
        self.resource = cloudwatch.CfnAlarm(
            self,
            "Resource",
            alarm_name=alarm_name,
            alarm_description=_description(name, about, alarm.description, alarm.severity),
            metrics=_queries(alarm, metrics),
            threshold=threshold,
            comparison_operator="GreaterThanThreshold",
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.needed,
            treat_missing_data=alarm.missing,
            evaluation_window={"wallClockWindow": {"timezone": "UTC"}} if alarm.is_aligned else None,
            alarm_actions=[topic_arn] if topic_arn else None,
        )


class WorkloadAlarms(Construct):
    """All alarms of a workload but those by which a release rolls back, which name its endpoint configuration.

    The endpoint has a fixed name, so the alarms on it are there before it is. Failed runs and rejected drops are
    notices of the stage."""

    def __init__(self, scope: Construct, *, context: Context) -> None:
        super().__init__(scope, "alarms")
        names, of_serving = context.names, serving_alarms(context.workload)
        composite = cloudwatch.CfnCompositeAlarm(
            self,
            SERVING,
            alarm_name=names.alarm(SERVING),
            alarm_description=_description(SERVING, names.workload, COMPOSITE.description, COMPOSITE.severity),
            alarm_rule=" OR ".join(f'ALARM("{names.alarm(name)}")' for name in of_serving),
        )
        consumers = consumer_alarms(of_stage(context.workload.consumers, context.platform.stage))
        of_figures = figure_alarms(context.workload.monitors.figures)
        alarms = ALARMS | of_serving | monitor_alarms(context.workload.policy) | of_figures | consumers
        for section, of_section in SECTION_ALARMS.items():
            if getattr(context.workload, section):
                alarms |= of_section
        for name, alarm in alarms.items():
            made = Alarm(
                self,
                name,
                alarm,
                alarm_name=names.alarm(name),
                about=names.workload,
                metrics=alarm.metrics(names),
                threshold=alarm.declared(context.workload) if alarm.declared else alarm.threshold,
            )
            if name in of_serving:  # its rule names the alarm, which CloudFormation does not see
                composite.add_resource_dependency(made.resource)


def _description(name: str, about: str, raised: str, severity: Severity) -> str:
    """What the alarm is about, when it is raised, its severity and its runbook."""
    return f"{about}: {raised} ({severity}; {runbook(name)})"


def _queries(
    alarm: OperationsAlarm[Any], metrics: Sequence[WatchedMetric]
) -> list[cloudwatch.CfnAlarm.MetricDataQueryProperty]:
    """One query for each metric, as `m0`, `m1` and so on.

    If the alarm has a formula or several metrics, one more query is compared: the formula, else the largest value."""
    # CloudWatch compares the one query that returns data. METRICS() stands for all other queries.
    formula = alarm.formula or ("MAX(METRICS())" if len(metrics) > 1 else "")
    query, dimension = cloudwatch.CfnAlarm.MetricDataQueryProperty, cloudwatch.CfnAlarm.DimensionProperty
    queries = [
        query(
            id=f"m{index}",
            return_data=not formula,
            metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                stat=metric.statistic,
                period=alarm.period_s,
                metric=cloudwatch.CfnAlarm.MetricProperty(
                    namespace=metric.namespace,
                    metric_name=metric.name,
                    dimensions=[dimension(name=key, value=value) for key, value in metric.dimensions.items()],
                ),
            ),
        )
        for index, metric in enumerate(metrics)
    ]
    return [*queries, query(id="judged", expression=formula, return_data=True)] if formula else queries
