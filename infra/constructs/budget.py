"""A budget of AWS Budgets for everything that one workload costs in a stage, by its tag.

It counts from the day on which the tag is activated as a cost allocation tag. Only the payer's account can do that.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from millrace.infra.context import Context
from millrace.names import DEPLOYMENT_TAG
from millrace.workload.prices import usd_per_hour
from millrace.workload.schedule import MONTH_HOURS

NEAR_PERCENT, FORECAST_PERCENT = 80, 100


class Budget(Construct):
    """A budget of a month's expected cost. The topic of alarms gets a message at 80% of it, and if more is forecast."""

    def __init__(self, scope: Construct, *, context: Context) -> None:
        super().__init__(scope, "budget")
        deployment = context.names.prefix
        notifications = [
            self._notification("ACTUAL", NEAR_PERCENT, context),
            self._notification("FORECASTED", FORECAST_PERCENT, context),
        ]
        budgets.CfnBudget(
            self,
            "Resource",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=f"{deployment}-{self._digest(notifications)}",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=expected_usd(context), unit="USD"),
                cost_filters={"TagKeyValue": [f"user:{DEPLOYMENT_TAG}${deployment}"]},
            ),
            notifications_with_subscribers=notifications,
        )

    def _digest(self, notifications: Sequence[budgets.CfnBudget.NotificationWithSubscribersProperty]) -> str:
        """Eight digits for the budget's name, from its notifications.

        Other notifications replace the budget. CloudFormation makes the new budget before it deletes the old one, and
        AWS refuses two budgets of one name.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-budgets-budget.html"""
        text = json.dumps(cdk.Stack.of(self).resolve(notifications), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def _notification(
        self, kind: str, percent: int, context: Context
    ) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
        return budgets.CfnBudget.NotificationWithSubscribersProperty(
            notification=budgets.CfnBudget.NotificationProperty(
                notification_type=kind,
                comparison_operator="GREATER_THAN",
                threshold=percent,
                threshold_type="PERCENTAGE",
            ),
            subscribers=[
                budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=context.platform.alarm_topic_arn)
            ],
        )


def expected_usd(context: Context) -> float:
    """USD a month: the workload's own budget for trainings, and an endpoint with the fewest instances."""
    rollout = context.workload.rollout
    hours = 0 if rollout.has_no_endpoint else context.least_instances * MONTH_HOURS
    serving = usd_per_hour(rollout.instance[context.platform.stage]) * hours
    return round(context.workload.budget.monthly_usd + serving, 2)
