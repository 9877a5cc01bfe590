"""The table `state`: the items of one workload. Only the module beside a key reads or writes its items.

pk is the workload; sk is one of

    release           `pointers`
    lease#<name>      `leases`
    slots#<machine>   `slots`
    drop#<id>         `claims`
    group#<execution> `claims`
    retraining        `retraining`
    cursor#<name>     `cursors`
    reported#<execution> `reported_failures`
    spend#<yyyy-mm>   `budget`
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
"""The attribute by which DynamoDB deletes an item, some days after that time (seconds since 1970); of `claims` alone.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html"""
Attribute = dict[str, Any]
"""One DynamoDB value with its type, for example {"S": "…"}."""


class StateTable:
    """One workload's items. `client` is boto3's DynamoDB client; every read is strongly consistent."""

    def __init__(self, client: Any, names: WorkloadNames) -> None:
        self._client, self._table = client, names.platform.state_table
        self.workload = names.workload

    def get(self, sort: str) -> dict[str, Attribute]:
        """The item, {} where there is none."""
        answer = self._client.get_item(TableName=self._table, Key=self._key(sort), ConsistentRead=True)
        item: dict[str, Attribute] = answer.get("Item", {})
        return item

    def items(self, prefix: str) -> dict[str, dict[str, Attribute]]:
        """The items whose sort keys begin so, by what follows the prefix, in order."""
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
        """Whether the condition held and the whole item was written."""
        guarded = {"ConditionExpression": condition, "ExpressionAttributeValues": values} if condition else {}
        try:
            self._client.put_item(TableName=self._table, Item=self._key(sort) | dict(item), **guarded)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def put_new(self, items: Mapping[str, Mapping[str, Attribute]]) -> bool:
        """Whether all were written, by sort key; none of them where one is there already. 100 items at most.

        Raises ConflictError where another transaction writes one of them at the same time.

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
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
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
        condition: str,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the condition held and the update was made; `values` are those of both expressions, `attributes` the
        names that `#name` stands for in them."""
        named = {"ExpressionAttributeNames": attributes} if attributes else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(sort),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                **named,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def delete(self, sort: str, condition: str, values: Mapping[str, Attribute]) -> bool:
        """Whether the condition held and the item was deleted."""
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
