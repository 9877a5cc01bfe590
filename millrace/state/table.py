"""The DynamoDB table `state`: what a workload must remember between executions.

Only the module named beside a key reads or writes its items. pk is the workload, sk is one of

    release           `pointers`
    lease#<name>      `leases`
    slots#<pool>      `slots`
    turn#<table>      `turns`
    drop#<id>         `claims`
    group#<execution> `claims`
    retraining        `retraining`
    cursor#<name>     `cursors`
    refused#<feed>    `refused_share`
    reported#<execution> `reported_failures`
    spend#<yyyy-mm>   `budget`
    automation        `automation`
    promise           `kept_promise`
    audit-chain       `audit_lag`
    orphan-notice     `orphan_notice`
    circuit#endpoint  the prediction function's circuit breaker, by powertools
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.errors import ConflictError
from millrace.names import WorkloadNames

DELETE_AFTER = "delete_after"
"""The attribute with the time (seconds since 1970) after which DynamoDB deletes the item, some days late.

Only the items of `claims` have it.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html"""
Attribute = dict[str, Any]
"""One value of DynamoDB with its type: {"S": "a text"}, {"N": "1.5"}, {"SS": ["a", "b"]}."""


class StateTable:
    """The items of one workload. `client` is boto3's DynamoDB client.

    Every read is strongly consistent: it returns what the last write has written. A write with a condition is atomic;
    the protocols of `millrace.state` rest on such writes."""

    def __init__(self, client: Any, names: WorkloadNames) -> None:
        self._client, self._table = client, names.platform.state_table
        self.workload = names.workload

    def get(self, sort: str) -> dict[str, Attribute]:
        """The item with this sort key. {} without one."""
        answer = self._client.get_item(TableName=self._table, Key=self._key(sort), ConsistentRead=True)
        item: dict[str, Attribute] = answer.get("Item", {})
        return item

    def items(self, prefix: str) -> dict[str, dict[str, Attribute]]:
        """The items whose sort keys begin with `prefix`, in order, by the rest of the sort key."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": self.workload}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"].removeprefix(prefix): item for page in pages for item in page["Items"]}

    def put(
        self,
        sort: str,
        item: Mapping[str, Attribute],
        condition: str | None = None,
        values: Mapping[str, Attribute] | None = None,
    ) -> bool:
        """Write the whole item in place of an older one. Returns False, and writes nothing, if the condition fails."""
        guarded = {"ConditionExpression": condition, "ExpressionAttributeValues": values} if condition else {}
        try:
            self._client.put_item(TableName=self._table, Item=self._key(sort) | dict(item), **guarded)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def put_new(self, items: Mapping[str, Mapping[str, Attribute]]) -> bool:
        """Write all items, given by sort key, in one transaction. At most 100.

        Returns False, and writes nothing, if any of them exists already. Raises ConflictError if another transaction
        writes one of them at the same time.

        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
        written = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": self._key(sort) | dict(item),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for sort, item in items.items()
        ]
        try:
            self._client.transact_write_items(TransactItems=written)
        except self._client.exceptions.TransactionCanceledException as error:
            # One reason for each item. "None" means that this item did not cancel the transaction.
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            # A conflict decides nothing, since the other transaction may still fail: it is not "exists already".
            if "TransactionConflict" in reasons:
                raise ConflictError(f"{self._table}: expected to be the only writer of {[*items]}") from None
            if reasons <= {"None", "ConditionalCheckFailed"}:
                return False
            raise
        return True

    def update(
        self,
        sort: str,
        expression: str,
        values: Mapping[str, Attribute],
        *,
        condition: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Update the item by DynamoDB's update expression. Returns False, and changes nothing, if the condition fails.

        `values` holds the `:value` of both expressions. `attributes` says which attribute a `#name` in them means."""
        named = {"ExpressionAttributeNames": attributes} if attributes else {}
        guarded = {"ConditionExpression": condition} if condition else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(sort),
                UpdateExpression=expression,
                ExpressionAttributeValues=values,
                **named,
                **guarded,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def delete(self, sort: str, condition: str, values: Mapping[str, Attribute]) -> bool:
        """Delete the item. Returns False, and deletes nothing, if the condition fails."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=self._key(sort),
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _key(self, sort: str) -> dict[str, Attribute]:
        return {"pk": {"S": self.workload}, "sk": {"S": sort}}
