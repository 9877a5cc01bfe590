"""An API destination of EventBridge: a URL outside to which rules post JSON that they make of events.

No code of ours runs for it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from millrace.infra.constructs.rule import target
from millrace.infra.iam.resource import policy, resource, trusted
from millrace.infra.settings import StageSettings
from millrace.operations.dead_letters import EVENTS, dead


def secret_text(name: str) -> str:
    """The text of the secret. CloudFormation reads it at deployment; templates only have this reference."""
    return f"{{{{resolve:secretsmanager:{name}:SecretString}}}}"


class ApiDestination(Construct):
    """The destination `millrace-<stage>-<name>`, with the role by which rules post to it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: StageSettings,
        url: str,
        authorization: str | None = None,
        per_second: int,
    ) -> None:
        """`authorization` is the value of that header. A connection must carry something: without it the stage's name.

        `per_second` is the most calls in a second."""
        super().__init__(scope, name)
        self._names = names = settings.platform
        header = events.CfnConnection.ApiKeyAuthParametersProperty(
            api_key_name="Authorization" if authorization else "X-Millrace-Stage",  # pragma: allowlist secret
            api_key_value=authorization or names.stage,
        )
        connection = events.CfnConnection(
            self,
            "Connection",
            name=f"{names.prefix}-{name}",
            authorization_type="API_KEY",
            auth_parameters=events.CfnConnection.AuthParametersProperty(api_key_auth_parameters=header),
        )
        self._destination = events.CfnApiDestination(
            self,
            "Destination",
            name=f"{names.prefix}-{name}",
            connection_arn=connection.attr_arn,
            http_method="POST",
            invocation_endpoint=url,
            invocation_rate_limit_per_second=per_second,
        )
        allowed = resource("events", self._destination.attr_arn).may("InvokeApiDestination")
        self._role = iam.CfnRole(
            self,
            "Role",
            role_name=f"{names.prefix}-{name}",
            permissions_boundary=settings.options.permissions_boundary,
            assume_role_policy_document=trusted(["events.amazonaws.com"], names.account),
            policies=[
                iam.CfnRole.PolicyProperty(policy_name="statements", policy_document=policy([allowed.document()]))
            ],
        )

    def target(
        self, paths: Mapping[str, str], body: Mapping[str, Any], *, also: str = ""
    ) -> events.CfnRule.TargetProperty:
        """The target of a rule that posts the body. `paths` fills in each `<word>` of it from the event.

        `also` tells the second target of one rule from its first."""
        return target(
            f"{self.node.id}{also}",
            self._destination.attr_arn,
            dead_arn=self._names.arn("sqs", self._names.queue(dead(EVENTS))),
            role_arn=self._role.attr_arn,
            input_transformer=events.CfnRule.InputTransformerProperty(
                input_paths_map=dict(paths), input_template=json.dumps(body)
            ),
        )
