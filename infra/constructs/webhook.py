"""The chat webhook of a stage: an API destination of EventBridge that posts `{"text": "…"}`.

Slack, Mattermost and Google Chat take such a post. No code of ours runs for it. The URL is a credential, so it is in no
template.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from millrace.infra.constructs.rule import retry_policy
from millrace.infra.iam.resource import policy, resource, trusted
from millrace.infra.settings import StageSettings
from millrace.operations.dead_letters import EVENTS, dead

PER_SECOND = 1
"""Most calls of the webhook in a second: Slack takes one."""


class Webhook(Construct):
    """Sends everything to the webhook that the topic gets, except the notifications of budgets."""

    def __init__(self, scope: Construct, *, settings: StageSettings) -> None:
        super().__init__(scope, "webhook")
        self._names = names = settings.platform
        # A connection must carry some authorization; the credential of a webhook is its URL.
        header = events.CfnConnection.ApiKeyAuthParametersProperty(
            api_key_name="X-Millrace-Stage",  # pragma: allowlist secret
            api_key_value=names.stage,
        )
        connection = events.CfnConnection(
            self,
            "Connection",
            name=f"{names.prefix}-webhook",
            authorization_type="API_KEY",
            auth_parameters=events.CfnConnection.AuthParametersProperty(api_key_auth_parameters=header),
        )
        self._destination = events.CfnApiDestination(
            self,
            "Destination",
            name=f"{names.prefix}-webhook",
            connection_arn=connection.attr_arn,
            http_method="POST",
            # CloudFormation reads the secret at deployment; the template only has this reference.
            invocation_endpoint=f"{{{{resolve:secretsmanager:{settings.options.alarm_webhook}:SecretString}}}}",
            invocation_rate_limit_per_second=PER_SECOND,
        )
        allowed = resource("events", self._destination.attr_arn).may("InvokeApiDestination")
        self._role = iam.CfnRole(
            self,
            "Role",
            role_name=f"{names.prefix}-webhook",
            permissions_boundary=settings.options.permissions_boundary,
            assume_role_policy_document=trusted(["events.amazonaws.com"], names.account),
            policies=[
                iam.CfnRole.PolicyProperty(policy_name="statements", policy_document=policy([allowed.document()]))
            ],
        )

    def target(self, paths: Mapping[str, str], text: str) -> events.CfnRule.TargetProperty:
        """The target of a rule that posts the text. `paths` fills in each `<word>` of it from the event."""
        return events.CfnRule.TargetProperty(
            id="webhook",
            arn=self._destination.attr_arn,
            role_arn=self._role.attr_arn,
            input_transformer=events.CfnRule.InputTransformerProperty(
                input_paths_map=dict(paths), input_template=json.dumps({"text": text})
            ),
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                arn=self._names.arn("sqs", self._names.queue(dead(EVENTS)))
            ),
            retry_policy=retry_policy(),
        )
