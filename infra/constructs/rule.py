"""An EventBridge rule with one target and its role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from millrace.infra.constructs.queue import Queue
from millrace.infra.constructs.role import machines_role, role_of
from millrace.infra.context import Context
from millrace.infra.iam.resource import resource
from millrace.messages.envelope import DELIVERED_WITHIN, DELIVERY_RETRIES
from millrace.messages.events import SOURCE, BusEvent

ENVELOPE = events.CfnRule.InputTransformerProperty(
    input_paths_map={"id": "$.id", "time": "$.time", "detail": "$.detail"},
    input_template='{"cause": <id>, "as_of": <time>, "detail": <detail>}',
)
"""The input that a rule gives to its machine or function: id, time and detail of the event."""


def target(name: str, arn: str, *, dead_arn: str, **properties: Any) -> events.CfnRule.TargetProperty:
    """A rule's target. All are tried again as often and for as long; then the event goes to the queue `dead_arn`."""
    return events.CfnRule.TargetProperty(
        id=name,
        arn=arn,
        dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=dead_arn),
        retry_policy=events.CfnRule.RetryPolicyProperty(
            maximum_event_age_in_seconds=int(DELIVERED_WITHIN.total_seconds()),
            maximum_retry_attempts=DELIVERY_RETRIES,
        ),
        **properties,
    )


def pattern_of(event: type[BusEvent], *, workload: str, **fields: list[Any]) -> dict[str, Any]:
    """The pattern of events of this class and workload, in which each of `fields` has one of its values.

    Raises ValueError if the event has no such field."""
    if unknown := sorted(fields.keys() - event.model_fields.keys()):
        raise ValueError(f"{event.detail_type}: expected fields among {sorted(event.model_fields)}, got {unknown}")
    return {"source": [SOURCE], "detail-type": [event.detail_type], "detail": {"workload": [workload], **fields}}


class Rule(Construct):
    """Sends the events that match `pattern` to one target.

    An event that cannot be delivered goes to the dead letters of the queue `dead`; without it, to those of the stage's
    events. `bus` is None for the account's default bus, which has AWS's own events."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Context,
        pattern: Mapping[str, Any],
        bus: str | None,
        dead: Queue | None = None,
    ) -> None:
        super().__init__(scope, f"{name}-rule")
        self._name = name
        self._context = context
        self._pattern = dict(pattern)
        self._bus = bus
        self._dead = dead

    def to_machine(self, machine_arn: str, *, envelope: events.CfnRule.InputTransformerProperty = ENVELOPE) -> None:
        """Start the machine with the envelope as its input."""
        role = role_of(
            self,
            machines_role(self._context.component),
            context=self._context,
            service="events.amazonaws.com",
            statements=[resource("states", machine_arn).may("StartExecution")],
        )
        self._rule(self._target(machine_arn, role_arn=role.resource.attr_arn, input_transformer=envelope))

    def to_function(self, function_arn: str) -> None:
        """Call the function with the envelope. The function's own permission allows it, so there is no role."""
        rule = self._rule(self._target(function_arn, input_transformer=ENVELOPE))
        lambda_.CfnPermission(
            self,
            "Permission",
            action="lambda:InvokeFunction",
            function_name=function_arn,
            principal="events.amazonaws.com",
            source_arn=rule.attr_arn,
        )

    def to_queue(self, queue_arn: str) -> None:
        """Put the whole event into the queue."""
        self._rule(self._target(queue_arn))

    def _target(self, arn: str, **properties: Any) -> events.CfnRule.TargetProperty:
        dead_arn = self._dead.dead_arn if self._dead else self._context.dead_events_arn
        return target("target", arn, dead_arn=dead_arn, **properties)

    def _rule(self, target: events.CfnRule.TargetProperty) -> events.CfnRule:
        rule = events.CfnRule(
            self,
            "Resource",
            name=f"{self._context.names.prefix}-{self._name}",
            event_bus_name=self._bus,
            event_pattern=self._pattern,
            state="ENABLED",
            targets=[target],
        )
        # The rule must not send before its queue of dead letters is there.
        if self._dead:
            rule.node.add_dependency(self._dead)
        return rule
